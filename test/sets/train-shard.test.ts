// Every model of a set is the plain job with its key, fold and seed.
import { expect, test } from "vitest";
import type { Spec } from "../../src/contract/schema/spec.ts";
import { encode } from "../../src/data/encode/encoding-cache.ts";
import { targetsOf } from "../../src/engine/losses/targets.ts";
import { takenBy } from "../../src/engine/plan/taken.ts";
import type { ShardModel } from "../../src/sets/shard-file.ts";
import { choices, modelsIn, noise, plain, specOf, tableOf, trainSet, type Changes } from "./support.ts";

/** Rows of five stores of unequal size, with a class, missing cells and two targets. */
function stores(sizes: readonly number[] = [40, 24, 40, 31, 3]): string {
  const next = noise(3);
  const rows = sizes.flatMap((size, store) =>
    Array.from({ length: size }, (_, i) => {
      const [a, b] = [next() * (1 + store), next()];
      const city = ["Oslo", "Rome", "Bern", ""][Math.floor((next() + 1) * 2)];
      const y = a + b > 0.5 ? "high" : a + b < -0.5 ? "low" : "mid";
      return [next(), [store, a, i % 9 === 4 ? "" : b, city, y, 3 * a - b, i % 4].join(",")] as const;
    }),
  );
  const shuffled = rows.toSorted(([a], [b]) => a - b).map(([, row]) => row);
  return ["store,a,b,city,y,z,part", ...shuffled].join("\n");
}

const preprocess = { missing: "most_frequent" };
const classified = { partition_by: "store", preprocess, exclude: ["z", "part"] };

/** Compares every model with its plain job. */
async function expectPlain(path: string, spec: Spec, models: readonly ShardModel[]): Promise<void> {
  for (const { entry, notes, file } of models) {
    const { validation } = spec.data;
    const { batch_size: batch } = spec.training;
    const isOpen = validation !== null && "folds" in validation && validation.fold === undefined;
    const data = {
      ...spec.data,
      partition_by: null,
      where: spec.data.partition_by === null ? null : entry.key,
      validation: isOpen ? { ...validation, fold: entry.fold } : validation,
    };
    const training = { ...spec.training, seed: spec.training.seed + entry.seed, seeds: 1 };
    const asked = { ...spec, data, training };
    const rows = await trainRows(path, asked);
    const alone = { ...asked, training: { ...training, batch_size: batch === "full" ? batch : Math.min(batch, rows) } };
    const expected = await plain(path, alone);
    const { status, error, steps, epochs, best, stop_reason, metrics, weights_sha256 } = entry;
    if (status !== "succeeded") {
      expect({ status, error }).toEqual(expected);
      continue;
    }
    const { weights, encoding, state: _, ...rest } = expected as Record<string, unknown>;
    expect({ status, error, steps, epochs, best, stop_reason, metrics }).toEqual(rest);
    expect(weights_sha256).toBe(weights);
    expect(file("final")!.sha256).toBe(weights);
    const { inputs, target, reading } = encoding as { inputs: { encoders: unknown[] }[] } & Record<string, unknown>;
    expect(JSON.parse(JSON.stringify(notes()))).toMatchObject({
      inputs: inputs.flatMap(({ encoders }) => encoders),
      target,
      reading,
    });
  }
}

async function trainRows(path: string, spec: Spec): Promise<number> {
  const { data } = await encode(path, spec.data, targetsOf(spec.loss), takenBy(spec.model.layers));
  return data.trainRows.length;
}

const cases: [string, Changes][] = [
  ["a class, missing cells, tiny keys", { data: classified }],
  ["folds and seeds", { data: { ...classified, validation: { folds: 3, seed: 2 } }, training: { seeds: 2 } }],
];

test.each(cases)("models are their plain jobs: %s", async (_, changes) => {
  const path = await tableOf(stores());
  const spec = specOf(changes);
  for (const choice of choices) {
    const { paths } = await trainSet(path, spec, [], choice);
    const models = await modelsIn(paths);
    expect(models.filter(({ entry }) => entry.status === "succeeded").length).toBeGreaterThan(3);
    await expectPlain(path, spec, models);
  }
});
