// How many replies may wait at once.
import { fastify, type FastifyInstance } from "fastify";
import { EventEmitter, once } from "node:events";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endLongLived } from "../../src/api/plugins/long-lived.ts";
import { handleError } from "../../src/api/plugins/problems.ts";

let app: FastifyInstance;
const arrived = new EventEmitter();
/** What the reply at /later waited for, and then whether nobody waited for it any more. */
let gone: PromiseWithResolvers<void>;
let pointless: PromiseWithResolvers<boolean>;
beforeEach(async () => {
  app = fastify();
  app.setErrorHandler(handleError);
  app.decorateRequest("owner", "default");
  app.addHook("onRequest", async (request) => void (request.owner = String(request.headers.owner)));
  endLongLived(app, { ofProcess: 3, ofOwner: 2 });
  app.get("/", async (_request, reply) => {
    const signal = reply.pointless();
    reply.raw.writeHead(200).write("waiting");
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    reply.raw.end();
    return reply;
  });
  gone = Promise.withResolvers();
  pointless = Promise.withResolvers();
  app.get("/later", async (_request, reply) => {
    reply.raw.once("close", gone.resolve);
    arrived.emit("request");
    await gone.promise;
    pointless.resolve(reply.pointless().aborted);
    return reply.hijack();
  });
  await app.listen({ port: 0 });
});
afterEach(() => app.close());

async function open(owner: string) {
  const { port } = app.server.address() as AddressInfo;
  const outgoing = request({ port, headers: { owner }, agent: false });
  outgoing.end();
  return await new Promise<{ status: number; retryAfter: string | undefined; close: () => void }>((resolve) => {
    outgoing.on("response", (response) => {
      response.on("error", () => undefined).resume();
      const { statusCode, headers } = response;
      resolve({ status: statusCode!, retryAfter: headers["retry-after"], close: () => outgoing.destroy() });
    });
  });
}

test("the waiting requests of an owner, and of a process, are limited; one that leaves makes room", async () => {
  const [first] = [await open("ann"), await open("ann")];
  expect(await open("ann")).toMatchObject({ status: 429, retryAfter: "5" });
  expect((await open("bob")).status).toBe(200);
  expect(await open("bob")).toMatchObject({ status: 503, retryAfter: "5" });
  expect((await open("ann")).status).toBe(429);
  first.close();
  await expect.poll(async () => (await open("ann")).status).toBe(200);
  expect(await open("ann")).toMatchObject({ status: 429 });
});

test("a client that leaves before it has to wait takes no place", async () => {
  const { port } = app.server.address() as AddressInfo;
  for (let i = 0; i < 3; i++) {
    gone = Promise.withResolvers();
    pointless = Promise.withResolvers();
    const outgoing = request({ port, path: "/later", headers: { owner: "ann" }, agent: false });
    outgoing.on("error", () => undefined).end();
    await once(arrived, "request");
    outgoing.destroy();
    expect(await pointless.promise).toBe(true);
  }
  expect((await open("ann")).status).toBe(200);
});
