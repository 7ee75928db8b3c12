/**
 * What is known of a synthetic table before it is made: enough to plan a job, and to find faults.
 */
import type { TargetKind } from "../../engine/training.ts";
import type { ColumnSummary } from "../dataset.ts";
import type { DataSizes, DataSpec } from "./encoding.ts";
import { featuresOf, targetColumns, type TableSummary } from "./features.ts";
import { FIRST_READING, READER_VERSION } from "../reading.ts";
import { sideCounts } from "./split.ts";
import { FEATURES } from "./fit-tensor.ts";
import { CLASS_COLUMN, syntheticColumns, type Synthetic } from "../synthetic.ts";

export interface Outline {
  readonly content: TableSummary;
  /** It does not find classes without training rows. */
  sizes(data: DataSpec): DataSizes;
}

/**
 * Null if the answer depends on the numbers in the table: on the rows that a column marks, on
 * values that are used as classes, or on a column that gets another type.
 */
export function outlineOf(synthetic: Synthetic, data: DataSpec, targets: TargetKind): Outline | null {
  const target = targetColumns(data);
  const { names, classes } = syntheticColumns(synthetic);
  const sides = sideCounts(synthetic.rows, data);
  const hasClasses = target[0] === CLASS_COLUMN && classes > 1;
  if (sides === null || Object.keys(data.columns).length > 0) return null;
  if (targets !== "value" && names.includes(target[0]) && !hasClasses) return null;
  const labels = Array.from({ length: classes }, (_, label) => String(label));
  const columns = names.map((name) =>
    name === CLASS_COLUMN && classes > 1 ? classColumn(name, labels) : column(name),
  );
  const content = { rows: synthetic.rows, columns, reading: { ...FIRST_READING, version: READER_VERSION } };
  const unknown = { untrained: [], empty: [], trained: null, validated: null };
  return { content, sizes: (filled) => ({ ...sides, ...shapesOf(content, filled), ...unknown }) };
}

function shapesOf(content: TableSummary, data: DataSpec): Pick<DataSizes, "width" | "input" | "targetShape"> {
  const width = featuresOf(content, data).length;
  const targetShape = typeof data.target === "string" ? [] : [data.target.length];
  return { width, input: { name: FEATURES, shape: data.shape ?? [width], type: "float32" }, targetShape };
}

/** Its numbers are moderate, whatever their exact values are. */
function column(name: string): ColumnSummary {
  return {
    name,
    type: "numeric",
    missing: 0,
    min: null,
    max: null,
    mean: null,
    classes: null,
    all_different: false,
    reason: null,
  };
}

function classColumn(name: string, classes: string[]): ColumnSummary {
  return { ...column(name), min: 0, max: classes.length - 1, classes };
}
