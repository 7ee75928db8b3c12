import { expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import { redis, setUpStore, store } from "./setup.ts";

setUpStore();

test("a ticket is for one dataset, for a minute", async () => {
  const ticket = await store.tickets.issue("ann", "ds_1");
  expect(await store.tickets.look(ticket)).toEqual({ owner: "ann", datasetId: "ds_1" });
  expect(await store.tickets.look("made up")).toBeNull();
  const life = await redis.pttl(keys.ticket(ticket));
  expect(life).toBeGreaterThan(0);
  expect(life).toBeLessThanOrEqual(60_000);
});
