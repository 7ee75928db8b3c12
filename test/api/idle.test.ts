// Connections on which nothing moves, and those that break off.
import { once } from "node:events";
import { connect, type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildBase } from "../../src/api/base.ts";
import { Problem } from "../../src/contract/errors.ts";

let app: FastifyInstance;
let idle: PromiseWithResolvers<void>;
let failed: PromiseWithResolvers<void>;
const errors: string[] = [];
beforeEach(async () => {
  idle = Promise.withResolvers();
  failed = Promise.withResolvers();
  app = await buildBase(pino({ level: "error" }, { write: (line) => errors.push(line) }));
  // Before it is handled.
  app.addHook("onError", async () => void setImmediate(failed.resolve));

  app.addContentTypeParser("text/csv", (_request, payload, done) => done(null, payload));
  app.post("/csv", async ({ raw }) => text(raw));
  app.post("/", async () => {
    await idle.promise;
    return { done: true };
  });
  app.post("/refused", async ({ raw }) => {
    for await (const chunk of raw.iterator({ destroyOnReturn: false })) {
      throw new Problem("too_large", `${(chunk as Buffer).length} bytes are enough.`);
    }
  });
  await app.listen({ port: 0 });
  app.server.timeout = 50;
  // Node's own listener, which cuts connections off, comes before this one.
  app.server.on("connection", (socket: Socket) => socket.once("timeout", () => idle.resolve()));
});
afterEach(() => app.close());

function post(body: string, path = "/", type = "application/json"): Socket {
  const client = connect((app.server.address() as AddressInfo).port);
  client.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n`);
  client.write(`content-type: ${type}\r\ncontent-length: 2\r\n\r\n${body}`);
  return client;
}

test("a client that waits gets its answer, however long the work takes", async () => {
  expect(await text(post("{}"))).toMatch(/^HTTP\/1.1 200 OK[^]*\{"done":true\}$/);
});

test("a client that does not finish its request is cut off", async () => {
  const client = post("{");
  client.on("error", () => undefined).resume();
  await once(client, "close");
  expect(client.bytesRead).toBe(0);
});

test("a body that is cut off does not count as an error of the service", async () => {
  const client = post("1", "/csv", "text/csv");
  client.on("error", () => undefined);
  await once(app.server, "request");
  client.destroy();
  await failed.promise;
  expect(errors).toEqual([]);
});

test("the rest of a refused body does not stop the next request", { timeout: 10_000 }, async () => {
  app.server.timeout = 0;
  const client = connect((app.server.address() as AddressInfo).port);
  const bytes = 32 * 2 ** 20;
  client.write(
    `POST /refused HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: ${bytes}\r\n\r\n`,
  );
  client.write(Buffer.alloc(bytes, "a"));
  client.write("GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  expect(await text(client)).toMatch(/^HTTP\/1.1 413 [^]*HTTP\/1.1 404 /);
});
