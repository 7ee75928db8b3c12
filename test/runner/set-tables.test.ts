/** The tables of model sets are shared, and not kept for ever. */
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SetTables } from "../../src/runner/set-tables.ts";
import { OWNER } from "../store/support.ts";
import { openPlace, type Place } from "../worker/support.ts";

let place: Place;
let wanted: Parameters<SetTables["get"]>[1];
beforeAll(async () => {
  place = await openPlace();
  const id = await place.post({ training: { epochs: 1, batch_size: 32, seeds: 2 } });
  const { spec, datasetIds } = (await place.store.sets.find(OWNER, id))!;
  wanted = { datasetIds, data: spec.data };
});
afterAll(() => place.close());

const life = { gone: new AbortController().signal, log: pino({ level: "silent" }) };

test("shards share a table, until there is no memory for a job", async () => {
  const tables = new SetTables({ ...place, cache: null });
  const first = await tables.get(OWNER, wanted, life);
  expect(await tables.get(OWNER, wanted, life)).toBe(first);
  tables.drop();
  expect(tables.size).toBe(0);
  expect(await tables.get(OWNER, wanted, life)).not.toBe(first);
});

test("a table goes that no shard has asked for in a while", async () => {
  const tables = new SetTables({ ...place, cache: null }, 20);
  await tables.get(OWNER, wanted, life);
  await expect.poll(() => tables.size).toBe(0);
});
