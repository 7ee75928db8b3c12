/**
 * What there is to know of a synthetic table before it is made: enough to plan a job, and to find
 * what is wrong with one.
 */
import type { TargetKind } from "../engine/training.ts";
import type { ColumnSummary, DatasetContent } from "./dataset.ts";
import { featuresOf, type DataSizes, type DataSpec } from "./encoding.ts";
import { validationCount } from "./split.ts";
import { CLASS_COLUMN, syntheticColumns, type Synthetic } from "./synthetic.ts";

export interface Outline {
  readonly content: Pick<DatasetContent, "rows" | "columns">;
  /** That a class has no training rows is not known. */
  sizes(data: DataSpec): DataSizes;
}

/**
 * Null if the answer depends on the table's numbers: on which rows a column marks, or which values
 * are to be classes.
 */
export function outlineOf(synthetic: Synthetic, { target, validation }: DataSpec, targets: TargetKind): Outline | null {
  const { names, classes } = syntheticColumns(synthetic);
  const valid = validationCount(synthetic.rows, validation);
  const hasClasses = target === CLASS_COLUMN && classes > 1;
  if (valid === null || (targets !== "value" && names.includes(target) && !hasClasses)) return null;
  const labels = Array.from({ length: classes }, (_, label) => String(label));
  const columns = names.map((name) =>
    name === CLASS_COLUMN && classes > 1 ? classColumn(name, labels) : column(name),
  );
  return {
    content: { rows: synthetic.rows, columns },
    sizes: (data) => ({ train: synthetic.rows - valid, valid, width: featuresOf(columns, data).length, untrained: [] }),
  };
}

/** Its numbers are moderate, whatever they are. */
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
