import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { Problem } from "../../../src/contract/errors.ts";
import { resolveSpec } from "../../../src/contract/resolve/resolve.ts";
import type { Dataset } from "../../../src/contract/wire/dataset.ts";
import { specFor } from "../../api/service.ts";
import { datasetFiles, LIMIT_BYTES } from "../../data/support.ts";
import { noOtherJobs } from "../../support/contexts.ts";
import { ingest } from "../../support/datasets.ts";

const id = "ds_01k3w9d0c8v6m2q4r7t5x1y9za";

/** Of a job with balanced classes under a loss. */
async function faults(loss: object): Promise<string[]> {
  const { files } = await datasetFiles();
  const table = Readable.from(["x,label\n1,0\n2,1\n3,0\n4,0\n5,1\n6,0\n"]);
  const content = await ingest(files, table, LIMIT_BYTES);
  const record: Dataset = { id, name: null, created_at: "2026-11-22T00:00:00.000Z", ...content };
  const limits = { maxMemoryBytes: 2 ** 28, maxStateBytes: 2 ** 24 };
  const context = { dataset: async () => record, files, ...limits, ...noOtherJobs, webhookFaults: () => [] };
  const data = { dataset: id, target: "label", class_weight: "balanced" };
  return await resolveSpec(specFor(id, { data, loss }), context).then(
    () => [],
    (error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      return error.members.errors!.map(({ pointer, message }) => `${pointer} ${message}`);
    },
  );
}

test("classes are balanced in one place, under the losses that have classes", async () => {
  expect(await faults({ type: "cross_entropy" })).toEqual([]);
  expect(await faults({ type: "bce" })).toEqual([]);
  expect(await faults({ type: "bce_with_logits", weight: [2] })).toEqual([]);
  expect(await faults({ type: "bce_with_logits", pos_weight: [2] })).toEqual([
    "/data/class_weight and /loss/pos_weight both weigh the classes: leave one out",
  ]);
  expect(await faults({ type: "cross_entropy", weight: { 0: 2 } })).toEqual([
    "/data/class_weight and /loss/weight both weigh the classes: leave one out",
  ]);
  expect(await faults({ type: "mse" })).toEqual([
    "/data/class_weight is for a loss over classes, such as cross_entropy, or over yes and no, such as bce_with_logits",
  ]);
});
