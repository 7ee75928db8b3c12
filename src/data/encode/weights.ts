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
): Promise<Pick<TrainingData, "weights" | "classWeights">> {
  const classWeights = data.class_weight === null ? undefined : balanced(target, targetRows(train, ahead));
  if (data.weight === null) return classWeights === undefined ? {} : { classWeights };
  const numbers = await file.numbers(file.index(data.weight));
  const weights = new Float64Array(new SharedArrayBuffer(8 * numbers.length));
  weights.set(numbers);
  // The weight of a sample is that of the row of its target.
  return { weights: weights.subarray(ahead), ...(classWeights === undefined ? {} : { classWeights }) };
}

/** Rows / (classes × rows of the class). A class without a row to train on counts nothing. */
function balanced({ classes, parts: [{ values }] }: Target, rows: Int32Array): number[] {
  const counts = classes!.map(() => 0);
  for (const row of rows) counts[values[row]]++;
  return counts.map((count) => (count === 0 ? 0 : rows.length / (counts.length * count)));
}
