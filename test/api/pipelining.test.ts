import { connect, type AddressInfo, type Socket } from "node:net";
import { fastify, type FastifyInstance } from "fastify";
import { afterEach, beforeEach, expect, test } from "vitest";
import { handleInOrder } from "../../src/api/plugins/pipelining.ts";
import { csv, specFor, startService } from "./service.ts";

let app: FastifyInstance;
let client: Socket;
let answers = "";
const handled: string[] = [];
/** The connection of a reply that is never given. */
let gone: PromiseWithResolvers<void>;
beforeEach(async () => {
  answers = "";
  handled.length = 0;
  gone = Promise.withResolvers();
  app = fastify();
  handleInOrder(app);
  app.get("/wait", (request, reply) => {
    handled.push(request.url);
    reply.raw.once("close", gone.resolve);
    reply.hijack();
  });
  // As quick as a reply can be: without any wait.
  app.get("/:id", (request, reply) => {
    handled.push(request.url);
    reply.send(request.url);
  });
  await app.listen({ port: 0 });
  client = connect((app.server.address() as AddressInfo).port);
  client.on("data", (text) => (answers += text.toString()));
});
afterEach(async () => {
  client.destroy();
  await app.close();
});

function send(paths: string[]): void {
  client.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join(""));
}

test("requests in one packet are answered in order, and others are handled in between", async () => {
  let turns = 0;
  const count = () => {
    turns++;
    if (handled.length < 100) setImmediate(count);
  };
  setImmediate(count);
  const paths = Array.from({ length: 100 }, (_, i) => `/job-${i}`);
  send(paths);
  await expect.poll(() => answers).toContain("/job-99");
  expect(answers.match(/\/job-\d+/g)).toEqual(paths);
  expect(handled).toEqual(paths);
  expect(turns).toBeGreaterThanOrEqual(100);
});

test("later requests on a connection that is gone are not handled", async () => {
  send(["/wait", "/a", "/b"]);
  await expect.poll(() => handled).toEqual(["/wait"]);
  client.destroy();
  await gone.promise;
  const other = await fetch(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}/other`);
  expect(await other.text()).toBe("/other");
  expect(handled).toEqual(["/wait", "/other"]);
});

test("the service reads no two jobs in one turn for one packet", async () => {
  const service = await startService();
  const job = await service.create(specFor((await service.upload(csv)).id));
  const { jobs } = service.store;
  const get = jobs.get.bind(jobs);
  let [turn, asked] = [0, 0];
  const turns = new Set<number>();
  jobs.get = (owner, id) => {
    asked++;
    turns.add(turn);
    return get(owner, id);
  };
  const count = () => {
    turn++;
    if (asked < 50) setImmediate(count);
  };
  setImmediate(count);
  const { port } = service.app.server.address() as AddressInfo;
  const packet = `GET /v1/jobs/${job.id} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(50);
  const other = connect(port);
  let read = "";
  other.on("data", (text) => (read += text.toString()));
  other.write(packet);
  await expect.poll(() => read.split("HTTP/1.1 200 OK").length - 1, { timeout: 10_000 }).toBe(50);
  other.destroy();
  await service.stop();
  expect([asked, turns.size]).toEqual([50, 50]);
});
