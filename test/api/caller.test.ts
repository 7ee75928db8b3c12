// Whether somebody still waits for what helper threads do.
import { fastify, type FastifyInstance } from "fastify";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decorateWithCaller } from "../../src/api/plugins/caller.ts";
import type { Caller } from "../../src/data/pool.ts";

let app: FastifyInstance;
const callers: Caller[] = [];
beforeEach(async () => {
  callers.length = 0;
  app = fastify();
  app.decorateRequest("owner", "ann");
  decorateWithCaller(app);
  app.post("/:what", async (request, reply) => {
    // The client has gone before anybody asks who waits.
    if (request.url === "/late") await new Promise((resolve) => reply.raw.once("close", resolve));
    const caller = reply.caller();
    callers.push(caller);
    if (request.url === "/wait") await new Promise((resolve) => caller.signal!.addEventListener("abort", resolve));
    return "done";
  });
  await app.listen({ port: 0 });
});
afterEach(() => app.close());

function post(path: string) {
  const { port } = app.server.address() as AddressInfo;
  const headers = { "content-type": "application/json" };
  return request({ port, path, method: "POST", headers, agent: false })
    .on("error", () => undefined)
    .end("{}");
}

test("a signal aborts when the client is gone before the answer, and not once it has it", async () => {
  const answered = post("/quick");
  await new Promise<void>((resolve) => {
    answered.on("response", (response) => response.resume().on("close", resolve));
  });
  const waiting = post("/wait");
  await expect.poll(() => callers.length).toBe(2);
  expect(callers.map(({ owner, signal }) => [owner, signal!.aborted])).toEqual([
    ["ann", false],
    ["ann", false],
  ]);
  waiting.destroy();
  await expect.poll(() => callers[1].signal!.aborted).toBe(true);
  expect(callers[0].signal!.aborted).toBe(false);
  post("/late").on("socket", (socket) => setTimeout(() => socket.destroy(), 50));
  await expect.poll(() => callers[2]?.signal!.aborted, { timeout: 10_000 }).toBe(true);
});
