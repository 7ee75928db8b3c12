import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, onTestFinished } from "vitest";
import type { DataSpec } from "../../src/data/encode/encoding.ts";
import { encode, measure } from "../../src/data/encode/encoding-cache.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { ingest } from "../support/datasets.ts";
import type { TrainingData } from "../../src/engine/training.ts";

export const LIMIT_BYTES = 2 ** 30;

/** Dataset files in a directory that goes away with the test. */
export async function datasetFiles(): Promise<{
  files: DatasetFiles;
  directory: string;
  onDisk: () => Promise<string[]>;
}> {
  const directory = await mkdtemp(join(tmpdir(), "rappel-data-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const files = new DatasetFiles(directory);
  await files.prepare();
  return { files, directory, onDisk: () => readdir(directory) };
}

/** A dataset of the given text. */
export async function dataset(text: string | Buffer) {
  const { files } = await datasetFiles();
  const content = await ingest(files, Readable.from([Buffer.from(text)]), LIMIT_BYTES);
  return { files, content };
}

/** A spec's `data` with the defaults filled in. */
export function dataSpec(
  given: Partial<Omit<DataSpec, "preprocess">> & { preprocess?: Partial<DataSpec["preprocess"]> } = {},
): DataSpec {
  return {
    target: "y",
    features: null,
    exclude: [],
    columns: {},
    shape: null,
    weight: null,
    class_weight: null,
    window: null,
    text: null,
    validation: null,
    test: null,
    ...given,
    preprocess: {
      numeric: "standardize",
      categorical: "one_hot",
      missing: "error",
      missing_target: "error",
      missing_indicator: false,
      tensor: "auto",
      target: "auto",
      ...given.preprocess,
    },
  };
}

/** Encoded, and measured the same. */
export async function encoded(csv: string, data: DataSpec, targets: "class" | "value" | "probability" = "value") {
  const { files, content } = await dataset(csv);
  const result = await encode(files.columnsPath(content), data, targets);
  const { trainRows, validRows, inputs } = result.data;
  const [{ values: features, shape }] = inputs;
  const [width] = shape;
  expect(await measure(files.columnsPath(content), data, targets)).toMatchObject({
    sizes: { train: trainRows.length, valid: validRows.length, width },
  });
  return { ...result.data, features: features as Float32Array, width, encoding: result.encoding };
}

/** The rows of a matrix. */
export function rowsOf({ inputs: [{ values: features, shape }] }: Pick<TrainingData, "inputs">): number[][] {
  const [width] = shape;
  return Array.from({ length: features.length / width }, (_, row) => [
    ...features.subarray(row * width, (row + 1) * width),
  ]);
}
