// The files of shards: the same bytes however a set is cut and trained, and damage is told.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Forms, together } from "../../src/sets/numbers-apart.ts";
import { ShardFile } from "../../src/sets/shard-file.ts";
import { choices, directory, modelsIn, noise, specOf, tableOf, trainSet } from "./support.ts";

/** Rows of many keys, of three sizes, some of them too small. */
function keyed(keys: number): string {
  const next = noise(11);
  const rows = Array.from({ length: keys }, (_, key) =>
    Array.from({ length: [12, 20, 1][key % 3] }, () => {
      const [a, b] = [next(), next()];
      return `${key},${a},${b},${a > b ? "yes" : "no"}`;
    }),
  );
  return ["key,a,b,y", ...rows.flat()].join("\n");
}

const spec = specOf({ data: { partition_by: "key" }, training: { epochs: 2, batch_size: 5, seeds: 2 } });

test("any cut gives the same models, whatever kernels train them", async () => {
  const path = await tableOf(keyed(60));
  const whole = await trainSet(path, spec);
  const expected = (await modelsIn(whole.paths)).map(({ entry, notes, parts }) => [entry, notes(), parts("final")]);
  expect(expected).toHaveLength(120);
  for (const choice of choices)
    for (const cuts of [[], [1, 2, 33], [64, 65, 119]]) {
      const { paths } = await trainSet(path, spec, cuts, choice);
      const models = (await modelsIn(paths)).map(({ entry, notes, parts }) => [entry, notes(), parts("final")]);
      expect(models).toEqual(expected);
      if (cuts.length === 0) expect(await readFile(paths[0])).toEqual(await readFile(whole.paths[0]));
    }
});

test("one model is read without the others", async () => {
  const { paths } = await trainSet(await tableOf(keyed(9)), spec, [5]);
  const all = await modelsIn(paths);
  const file = await ShardFile.open(paths[1]);
  try {
    const { entry, file: model } = await file.model(7);
    expect(entry).toEqual(all[7].entry);
    expect(model("final")).toEqual(all[7].file("final"));
    expect(model("best")).toBeNull();
    await expect(file.model(4)).rejects.toThrow("Model 4 is in another shard.");
  } finally {
    await file.close();
  }
});

test("damage is told, wherever it is", async () => {
  const { paths } = await trainSet(await tableOf(keyed(4)), spec);
  const bytes = await readFile(paths[0]);
  const to = await directory();
  const read = async (name: string, content: Buffer) => {
    const path = join(to, name);
    await writeFile(path, content);
    return await modelsIn([path]);
  };
  expect(await read("whole", bytes)).toHaveLength(8);
  for (let at = 8; at < bytes.length; at += 97) {
    const damaged = Buffer.from(bytes);
    damaged[at] ^= 1;
    await expect(read(`flipped-${at}`, damaged)).rejects.toThrow(/The file of a shard (is|has a) (damaged|cut off)/);
  }
  for (const length of [0, 10, 500, bytes.length - 1])
    await expect(read(`cut-${length}`, bytes.subarray(0, length))).rejects.toThrow("The file of a shard");
  await expect(modelsIn([join(to, "none")])).rejects.toThrow("The file of a shard is missing.");
});

test("values of one form are kept as numbers, and come back to the last bit", () => {
  const forms = new Forms();
  const encoder = (numbers: number[], more: object = {}) => ({
    inputs: [{ name: "x", classes: ["a", "b"], fill: null, scaled: true, numbers, ...more }],
    target: { mean: numbers[0], std: null },
  });
  const values = [
    encoder([1, -0, 1e300]),
    encoder([0.1, Number.NaN, Infinity]),
    encoder([1, 2]),
    encoder([3, 4, 5], { classes: ["a", "c"] }),
    encoder([3, 4, 5], { unit: undefined }),
    encoder([3, 4, 5], { words: [7] }),
    { ...encoder([1, 2, 3]), target: 1 },
    [encoder([1, 2, 3])],
  ];
  const taken = values.map((value) => forms.take(value));
  expect(taken.map(({ form }) => form)).toEqual([0, 0, 1, 2, 0, 3, 4, 5]);
  for (const [i, { form, numbers }] of taken.entries())
    expect(together(JSON.parse(JSON.stringify(forms.all[form])), Float64Array.from(numbers))).toEqual(values[i]);
});
