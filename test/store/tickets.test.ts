import { afterAll, beforeAll, expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { openStore } from "./support.ts";

let server: TestRedis;
let store: Store;
beforeAll(async () => {
  server = await startTestRedis();
  store = await openStore(server);
});
afterAll(() => server.stop());

test("a ticket is for one dataset, for a minute", async () => {
  const ticket = await store.tickets.issue("ann", "ds_1");
  expect(await store.tickets.look(ticket)).toEqual({ owner: "ann", datasetId: "ds_1" });
  expect(await store.tickets.look("made up")).toBeNull();
  const redis = server.client();
  const life = await redis.pttl(keys.ticket(ticket));
  expect(life).toBeGreaterThan(0);
  expect(life).toBeLessThanOrEqual(60_000);
});
