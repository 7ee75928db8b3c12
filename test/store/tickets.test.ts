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

test("a ticket admits to its own file, for a minute", async () => {
  const [mine, other] = ["1".repeat(64), "2".repeat(64)];
  const ticket = await store.tickets.issue(mine);
  expect(await store.tickets.admits(ticket, mine)).toBe(true);
  expect(await store.tickets.admits(ticket, other)).toBe(false);
  expect(await store.tickets.admits("made up", mine)).toBe(false);
  const redis = server.client();
  const life = await redis.pttl(keys.ticket(ticket));
  expect(life).toBeGreaterThan(0);
  expect(life).toBeLessThanOrEqual(60_000);
});
