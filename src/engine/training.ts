/**
 * What the engine trains on: a dataset as numbers. Everything is in SharedArrayBuffers, so that the
 * threads of all crews of a process read one copy.
 */
export interface TrainingData {
  /** float32 [rows, width], row-major. */
  readonly features: Float32Array;
  readonly width: number;
  /** For each row its class' index, or its (scaled) value. */
  readonly targets: Int32Array | Float32Array;
  /** Row numbers, ascending. Rows in no list are not used. */
  readonly trainRows: Int32Array;
  /** Empty if there is no validation. */
  readonly validRows: Int32Array;
  /** Rows for the test at the end. Empty if there is no test. */
  readonly testRows: Int32Array;
  /**
   * Turns predictions back into the data's terms: the classes in order, or value × std + mean (mean
   * 0 and std 1 if not scaled).
   */
  readonly target: { readonly classes: string[] | null; readonly mean: number; readonly std: number };
}

/** Bytes of all the buffers. */
export function dataBytes({ features, targets, trainRows, validRows, testRows }: TrainingData): number {
  const rows = trainRows.byteLength + validRows.byteLength + testRows.byteLength;
  return features.byteLength + targets.byteLength + rows;
}

/** What a loss compares predictions with: one class per row, a value, or a probability in 0..1. */
export type TargetKind = "class" | "value" | "probability";
