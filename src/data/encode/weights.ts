/** How much rows and classes count in the loss. */
import type { TrainingData } from "../../engine/training.ts";
import type { DataSpec } from "./encoding.ts";
import type { Target } from "./target.ts";
import type { ViewedFile } from "./viewed-file.ts";
import { targetRows } from "./windows.ts";

/** @param train the training samples, whose targets lie `ahead` rows after them */
export async function weightsOf(
  file: ViewedFile,
  target: Target,
  { data, train, ahead }: { readonly data: DataSpec; readonly train: Int32Array; readonly ahead: number },
): Promise<Pick<TrainingData, "weights" | "lossWeights" | "classWeights">> {
  // The weight of a sample is that of the row of its target.
  const ofSamples = (of: (row: number) => number) => sharedWeights(file.rows, of).subarray(ahead);
  const numbers = data.weight === null ? null : await file.numbers(file.index(data.weight));
  const given = numbers === null ? {} : { weights: ofSamples((row) => numbers[row]) };
  if (data.class_weight === null) return given;
  const classWeights = balanced(target, targetRows(train, ahead));
  if (target.classes !== null) return { ...given, classWeights };
  const [{ values }] = target.parts;
  return { ...given, lossWeights: ofSamples((row) => (numbers?.[row] ?? 1) * (classWeights[values[row]] ?? 0)) };
}

function sharedWeights(rows: number, of: (row: number) => number): Float64Array {
  const weights = new Float64Array(new SharedArrayBuffer(8 * rows));
  for (let row = 0; row < rows; row++) weights[row] = of(row);
  return weights;
}

/**
 * Rows / (classes × rows of the class); the classes of yes and no are 0 and 1. A class without a
 * row to train on counts nothing.
 */
function balanced({ classes, parts: [{ values }] }: Target, rows: Int32Array): number[] {
  const counts = Array.from({ length: classes?.length ?? 2 }, () => 0);
  for (const row of rows) counts[values[row]]++;
  return counts.map((count) => (count === 0 ? 0 : rows.length / (counts.length * count)));
}
