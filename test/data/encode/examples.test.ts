import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { encode } from "../../../src/data/encode/encoding-cache.ts";
import { Crew } from "../../../src/engine/crew/crew.ts";
import { resolveSpec } from "../../../src/contract/resolve/resolve.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";
import { ingest } from "../../support/datasets.ts";
import { noOtherJobs } from "../../support/contexts.ts";

const DATASET_ID = "ds_00000000000000000000000000";

/** An example's spec as the service resolves it, over its dataset if it has one. */
async function example(spec: string, table: string | null) {
  const { files } = await datasetFiles();
  const bytes = table === null ? null : createReadStream(`examples/${table}.csv`);
  const content = bytes && (await ingest(files, bytes, LIMIT_BYTES));
  const known = content && {
    ...content,
    id: DATASET_ID,
    name: null,
    created_at: "2026-01-01T00:00:00.000Z",
  };
  const body = JSON.parse(await readFile(`examples/${spec}.json`, "utf8"));
  if (known) body.data.dataset = DATASET_ID;
  const limits = { maxMemoryBytes: 2 ** 30, maxStateBytes: 2 ** 30 };
  const context = { dataset: async () => known, files, ...limits, ...noOtherJobs, webhookFaults: () => [] };
  const resolved = await resolveSpec(body, context);
  const draft = await resolved.table?.make();
  await draft?.keep();
  return { files, content: draft?.content ?? known!, resolved };
}

async function metricsOf({ files, content, resolved }: Awaited<ReturnType<typeof example>>) {
  const { spec } = resolved;
  const { data } = await encode(files.columnsPath(content), spec.data, spec.loss.type === "mse" ? "value" : "class");
  const ignore = () => undefined;
  const crew = await Crew.start(
    { ...spec, keepBest: false, data },
    { threads: 1, everySteps: null, state: null },
    { log: ignore, evaluated: ignore, snapshot: ignore },
  );
  const outcome = await crew.run();
  if (outcome.type !== "completed") throw new Error(`The training ended as ${outcome.type}.`);
  return outcome.metrics;
}

test.each([
  ["iris-adamw", "iris"],
  ["wine-adamw", "wine"],
  ["breast_cancer-adamw", "breast_cancer"],
  ["digits-adam", "digits"],
  ["digits-adamw", "digits"],
  ["diabetes-adamw", "diabetes"],
  ["two_moons-sgd", null],
])("%s is sound, and its learning rate falls to the end of the training", async (spec, table) => {
  const { resolved } = await example(spec, table);
  expect(resolved.spec.schedule).toMatchObject({ type: "cosine_annealing", t_max: resolved.totalSteps });
});

test.each([
  ["iris", "valid_accuracy"],
  ["wine", "valid_accuracy"],
  ["breast_cancer", "valid_accuracy"],
  ["digits", "valid_accuracy"],
  ["diabetes", "valid_r2"],
])("%s is learnt as well as a reference model learns it", async (name, metric) => {
  const reference = JSON.parse(await readFile("test/golden/datasets/reference_quality.json", "utf8"));
  const metrics = await metricsOf(await example(`${name}-adamw`, name));
  expect(metrics[metric]).toBeGreaterThanOrEqual(reference.datasets[name].suggested_pass_threshold);
});

test("two moons are learned", async () => {
  const metrics = await metricsOf(await example("two_moons-sgd", null));
  expect(metrics).toMatchObject({ valid_accuracy: expect.any(Number), valid_macro_f1: expect.any(Number) });
  expect(metrics.valid_macro_f1).toBeGreaterThan(0.95);
});
