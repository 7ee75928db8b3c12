import type { KernelChoice } from "../src/engine/kernels/native.ts";
import type { ColumnSummary } from "../src/data/dataset.ts";
import { FIRST_READING } from "../src/data/reading.ts";
import type { PartitionedTable } from "../src/data/encode/partitioned-table.ts";

/* The set of bench/sets.ts, as its threads get it. */

export const SET_MODELS = 10_000;
const ROWS = 150;
const FEATURES = ["a", "b", "c", "d"];
const CLASSES = ["high", "low", "mid"];

export interface SetTask {
  readonly table: PartitionedTable;
  /** The number of the next shard. */
  readonly next: Int32Array;
  readonly kernels: KernelChoice;
}

export function setTable(): PartitionedTable {
  const rows = SET_MODELS * ROWS;
  const numbers = FEATURES.map(() => new Float64Array(new SharedArrayBuffer(8 * rows)));
  const classes = new Uint16Array(new SharedArrayBuffer(2 * rows));
  let state = 1;
  for (let row = 0; row < rows; row++) {
    for (const column of numbers) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      column[row] = state / 2 ** 31 - 1;
    }
    const sum = numbers[0][row] + numbers[1][row];
    classes[row] = sum > 0.5 ? 0 : sum < -0.5 ? 1 : 2;
  }
  const texts = Array.from({ length: SET_MODELS }, (_, key) => Buffer.from(JSON.stringify({ store: key })));
  const keyOffsets = new Uint32Array(new SharedArrayBuffer(4 * (SET_MODELS + 1)));
  for (const [key, text] of texts.entries()) keyOffsets[key + 1] = keyOffsets[key] + text.length;
  const keyTexts = new Uint8Array(new SharedArrayBuffer(keyOffsets[SET_MODELS]));
  keyTexts.set(Buffer.concat(texts));
  const offsets = new Uint32Array(new SharedArrayBuffer(4 * (SET_MODELS + 1)));
  for (let key = 0; key <= SET_MODELS; key++) offsets[key] = key * ROWS;
  const columns = [
    numeric("store", { min: 0, max: SET_MODELS - 1 }),
    ...FEATURES.map((name) => numeric(name, { min: -1, max: 1 })),
    { ...numeric("y", { min: null, max: null }), type: "categorical" as const, mean: null, classes: CLASSES },
  ];
  return {
    content: { rows, columns, reading: FIRST_READING },
    keys: SET_MODELS,
    missing: 0,
    offsets,
    keyOffsets,
    keyTexts,
    columns: new Map([...numbers, classes].map((values, i) => [i + 1, { values, width: 1 }])),
  };
}

const numeric = (name: string, range: Pick<ColumnSummary, "min" | "max">): ColumnSummary => ({
  name,
  type: "numeric",
  missing: 0,
  mean: 0,
  classes: null,
  all_different: false,
  reason: null,
  ...range,
});
