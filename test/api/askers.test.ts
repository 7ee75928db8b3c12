// Whether somebody still waits for what helper threads do.
import { fastify, type FastifyInstance } from "fastify";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nameAskers } from "../../src/api/plugins/askers.ts";
import type { Asker } from "../../src/data/pool.ts";

let app: FastifyInstance;
const askers: Asker[] = [];
beforeEach(async () => {
  askers.length = 0;
  app = fastify();
  app.decorateRequest("owner", "ann");
  nameAskers(app);
  app.post("/:what", async (request, reply) => {
    const asker = reply.asker();
    askers.push(asker);
    if (request.url === "/wait") await new Promise((resolve) => asker.signal!.addEventListener("abort", resolve));
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
  await expect.poll(() => askers.length).toBe(2);
  expect(askers.map(({ owner, signal }) => [owner, signal!.aborted])).toEqual([
    ["ann", false],
    ["ann", false],
  ]);
  waiting.destroy();
  await expect.poll(() => askers[1].signal!.aborted).toBe(true);
  expect(askers[0].signal!.aborted).toBe(false);
});
