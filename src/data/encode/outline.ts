/**
 * What is known of a synthetic table before it is made: enough to plan a job, and to find faults.
 */
import type { TargetKind } from "../../engine/training.ts";
import type { ColumnSummary } from "../dataset.ts";
import type { FeatureForm } from "../../engine/plan/taken.ts";
import type { Measured } from "./encode.ts";
import type { DataSpec, Inherited } from "./encoding.ts";
import { featuresOf, targetColumns, type TableSummary } from "./features.ts";
import { FIRST_READING, READER_VERSION } from "../reading.ts";
import { sideCounts } from "./split.ts";
import { columnFaults, measuredScalars, type MeasuredInputs } from "./fit.ts";
import { inheritedInputs } from "./inherit.ts";
import { CLASS_COLUMN, syntheticColumns, type Synthetic } from "../synthetic.ts";

export interface Outline {
  readonly content: TableSummary;
  /** It does not find classes without training rows. */
  measure(data: DataSpec, takes: FeatureForm, inherited: Inherited | null): Measured;
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
  const unknown = { untrained: [], empty: [], trained: null, validated: null, unknown: [] };
  const plain = { encodedBytes: null, tokens: null };
  return {
    content,
    measure(filled, takes, inherited) {
      const { width, inputs, faults } = measureOutline(content, filled, takes, inherited);
      if (faults.length > 0) return { faults: [...faults] };
      const targetShape = typeof filled.target === "string" ? [] : [filled.target.length];
      return { sizes: { ...sides, width, inputs, targetShape, ...plain, ...unknown } };
    },
  };
}

/** Its columns are numbers. */
function measureOutline(
  content: TableSummary,
  data: DataSpec,
  takes: FeatureForm,
  inherited: Inherited | null,
): MeasuredInputs {
  if (inherited) return inheritedInputs(inherited, takes);
  const measured = measuredScalars(featuresOf(content, data).length, data);
  return takes === "columns" ? { ...measured, faults: columnFaults(0, data) } : measured;
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
