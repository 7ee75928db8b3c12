import { rm } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { Encoded } from "../../../src/data/encode/encoding.ts";
import { Abandoned } from "../../../src/data/pool.ts";
import { encode, EncodingCache, measureStored } from "../../../src/data/encode/encoding-cache.ts";
import { dataset, dataSpec } from "../support.ts";
import { NO_READING } from "../../../src/data/reading.ts";

/** An encoding of 4 × `numbers` bytes. */
function encodedOf(numbers: number): Encoded {
  const none = new Int32Array(0);
  return {
    data: {
      inputs: [{ name: "features", shape: [1], type: "float32", values: new Float32Array(numbers) }],
      targets: none,
      targetShape: [],
      trainRows: none,
      validRows: none,
      testRows: none,
      target: { classes: null, mean: 0, std: 1 },
    },
    encoding: {
      inputs: [],
      target: { column: "y", task: "regression" as const, classes: null, mean: 0, std: 1 },
      reading: NO_READING,
    },
  };
}

/** A maker that counts how often it is asked. */
function maker(numbers: number) {
  const made = { count: 0, make: () => (made.count++, Promise.resolve(encodedOf(numbers))) };
  return made;
}

/**
 * In a later turn of the event loop, since a weak reference that was looked at is kept for the rest
 * of its turn.
 */
async function collectGarbage(): Promise<void> {
  await setTimeout(1);
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

test("jobs with the same encoding of the same bytes share it, whatever the dataset's id; others do not", async () => {
  const { files, content } = await dataset("x,y\n1,1\n2,2\n");
  const of = (data: object) => encode(files.columnsPath(content), { ...dataSpec(), ...data }, "value");
  const [first, second] = await Promise.all([of({ dataset: "ds_1" }), of({ dataset: "ds_2" })]);
  expect(second.data).toBe(first.data);
  expect(await of({})).toEqual(first);
  expect((await of({})).data).toBe(first.data);
  expect((await of({ validation: { every: 2 } })).data).not.toBe(first.data);
  expect((await encode(files.columnsPath(content), dataSpec(), "class")).data).not.toBe(first.data);
});

test("a stored table is measured once for jobs that are alike, and anew for others", async () => {
  const { files, content } = await dataset("x,y\n1,1\n2,2\n3,4\n");
  const path = files.columnsPath(content);
  const measured = (data: object = {}) =>
    measureStored(path, { ...dataSpec(), ...data }, "value", "float32", undefined, null);
  const first = await measured({ dataset: "ds_1" });
  expect(first).toMatchObject({ sizes: { train: 3, valid: 0 } });
  const other = await measured({ validation: { every: 3 } });
  expect(other).toMatchObject({ sizes: { train: 2, valid: 1 } });
  await rm(path);
  expect(await measured({ dataset: "ds_2" })).toEqual(first);
  expect(await measured({ validation: { every: 3 } })).toEqual(other);
  await expect(measured({ validation: { every: 2 } })).rejects.toThrow();
});

test("jobs that are alike are measured once at the same time too, also if the first one is given up", async () => {
  const { files, content } = await dataset("x,y\n1,1\n2,2\n3,4\n");
  const path = files.columnsPath(content);
  const measured = (every: number, signal?: AbortSignal) => {
    const spec = { ...dataSpec(), validation: { every } };
    return measureStored(path, spec, "value", "float32", { owner: "ann", signal }, null);
  };
  const all = await Promise.all([measured(2), measured(2), measured(2)]);
  expect(new Set(all).size).toBe(1);
  const leaving = new AbortController();
  const [first, second] = [measured(3, leaving.signal), measured(3)];
  leaving.abort();
  await expect(first).rejects.toThrow(Abandoned);
  expect(await second).toMatchObject({ sizes: { train: 2, valid: 1 } });
});

test("an encoding in use stays shared, however large it is", async () => {
  const cache = new EncodingCache(0);
  const made = maker(100);
  const { data } = await cache.get("a", made.make);
  await collectGarbage();
  expect((await cache.get("a", made.make)).data).toBe(data);
  expect(made.count).toBe(1);
});

test("unused encodings are kept up to the limit, those used last first", async () => {
  const cache = new EncodingCache(800);
  const [a, b, c] = [maker(100), maker(100), maker(100)];
  await cache.get("a", a.make);
  await cache.get("b", b.make);
  await cache.get("a", a.make);
  await cache.get("c", c.make);
  await collectGarbage();
  await cache.get("c", c.make);
  await cache.get("a", a.make);
  await cache.get("b", b.make);
  expect([a.count, b.count, c.count]).toEqual([1, 2, 1]);
});

test("a failure is not remembered", async () => {
  const cache = new EncodingCache(800);
  await expect(cache.get("a", () => Promise.reject(new Error("cut off")))).rejects.toThrow("cut off");
  const made = maker(1);
  await cache.get("a", made.make);
  expect(made.count).toBe(1);
});
