// All models of a set in one file.
import { expect, test } from "vitest";
import { readHeader, readSafetensors } from "../../src/engine/state/safetensors.ts";
import { stacked } from "../../src/sets/stacked.ts";
import { modelsIn, noise, specOf, tableOf, trainSet } from "./support.ts";

const next = noise(5);

/** Four keys, of which one has a third class among its features, and one that has a single row. */
const rows = Array.from({ length: 89 }, (_, i) => {
  const [a, b] = [next(), next()];
  const key = i === 88 ? "l" : ["o-1", '"k""2"', "p", "q"][i % 4];
  const city = i % 4 === 2 && i < 20 ? "Bern" : ["Oslo", "Rome"][(i >> 2) % 2];
  return [key, a, b, city, a > b ? 1 : 0].join(",");
});
const csv = ["key,a,b,city,y", ...rows].join("\n");

async function bytesOf({ bytes, chunks }: Awaited<ReturnType<typeof stacked>>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(Uint8Array.from(chunk));
  const file = new Uint8Array(Buffer.concat(all));
  expect(file.length).toBe(bytes);
  return file;
}

const changes = {
  loss: { type: "mse" },
  data: { partition_by: "key", features: ["a", "b"] },
  model: { layers: [{ type: "linear", out_features: 3 }, { type: "batch_norm1d" }, { type: "linear" }] },
  training: { seeds: 2, batch_size: "full" },
};

test("models that succeeded are stacked, with their numbers and keys", async () => {
  const { paths } = await trainSet(await tableOf(csv), specOf(changes), [3, 4]);
  const models = (await modelsIn(paths)).filter(({ entry }) => entry.status === "succeeded");
  expect(models.map(({ entry }) => entry.key.key)).toEqual(['k"2', 'k"2', "o-1", "o-1", "p", "p", "q", "q"]);
  expect(models[2].entry.number).toBe(4);
  const file = await bytesOf(await stacked(paths));
  const { metadata, tensors } = readSafetensors(file);
  expect(metadata.format).toBe("pt");
  expect(JSON.parse(metadata.numbers)).toEqual(models.map(({ entry }) => entry.number));
  expect(JSON.parse(metadata.keys)).toEqual(models.map(({ entry: { key, fold, seed } }) => ({ ...key, fold, seed })));
  const own = models.map((model) => readSafetensors(model.file("final")!.bytes).tensors);
  expect([...tensors.keys()]).toEqual([...own[0].keys()]);
  expect(tensors.get("1.num_batches_tracked")).toMatchObject({ shape: [models.length], dtype: "I64" });
  for (const [name, { shape, bytes }] of tensors) {
    expect(shape).toEqual([models.length, ...own[0].get(name)!.shape]);
    expect(Buffer.from(bytes)).toEqual(Buffer.concat(own.map((model) => model.get(name)!.bytes)));
  }
  expect(readHeader(file).start % 8).toBe(0);
  for (const mostCollected of [0, 100, 200]) expect(await bytesOf(await stacked(paths, mostCollected))).toEqual(file);
});

test("models of other shapes do not stack, and the tensor is named", async () => {
  const own = { ...changes, data: { partition_by: "key", features: ["a", "city"] } };
  const { paths } = await trainSet(await tableOf(csv), specOf(own), [5]);
  await expect(stacked(paths)).rejects.toThrow(
    'The models do not stack: the tensor "0.weight" is [3, 4] in model 6 and [3, 3] in the first.',
  );
});

test("a set without a model has no file", async () => {
  const { paths } = await trainSet(
    await tableOf(csv),
    specOf({ ...changes, data: { partition_by: "key", min_rows: 99 } }),
  );
  await expect(stacked(paths)).rejects.toThrow("No model of the set succeeded.");
});
