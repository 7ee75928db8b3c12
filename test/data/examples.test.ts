import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { encode } from "../../src/data/encodings.ts";
import { Crew } from "../../src/engine/crew.ts";
import { resolveSpec } from "../../src/spec/resolve.ts";
import { datasetFiles, LIMIT_BYTES } from "./support.ts";

const DATASET_ID = "ds_00000000000000000000000000";

/** An example's table, and its spec as the service resolves it. */
async function example(table: string, spec: string) {
  const { files } = await datasetFiles();
  const content = await files.ingest(createReadStream(`examples/${table}.csv`), LIMIT_BYTES);
  const body = JSON.parse(await readFile(`examples/${spec}.json`, "utf8"));
  const dataset = {
    ...content,
    id: DATASET_ID,
    name: null,
    format: "csv" as const,
    created_at: "2026-01-01T00:00:00.000Z",
  };
  const context = { dataset: async () => dataset, files, maxMemoryBytes: 2 ** 30, maxStateBytes: 2 ** 30 };
  const resolved = await resolveSpec({ ...body, data: { ...body.data, dataset: DATASET_ID } }, context);
  return { files, content, resolved };
}

test.each([
  ["iris", "iris-adamw"],
  ["digits", "digits-adam"],
])("the spec for %s is sound, and its learning rate falls to the end of the training", async (table, spec) => {
  const { resolved } = await example(table, spec);
  expect(resolved.spec.schedule).toMatchObject({ type: "cosine_annealing", t_max: resolved.totalSteps });
});

test("iris is learnt as well as a reference model learns it", async () => {
  const { files, content, resolved } = await example("iris", "iris-adamw");
  const { spec } = resolved;
  const { data } = await encode(files, content.sha256, spec.data, "class");
  const ignore = () => undefined;
  const crew = await Crew.start(
    { ...spec, keepBest: false, data },
    { threads: 1, everySteps: null, state: null },
    { log: ignore, evaluated: ignore, snapshot: ignore },
  );
  const outcome = await crew.run();
  const reference = JSON.parse(await readFile("test/golden/datasets/reference_quality.json", "utf8"));
  if (outcome.type !== "completed") throw new Error(`The training ended as ${outcome.type}.`);
  expect(outcome.metrics.valid_accuracy).toBeGreaterThanOrEqual(reference.datasets.iris.suggested_pass_threshold);
});
