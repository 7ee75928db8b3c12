/**
 * What is wrong with a spec's `data` for a given dataset: all faults at once, each with a pointer into the spec and a
 * message that continues the sentence "<pointer> …".
 *
 * `checkData` needs no more than the summary of the columns; what only the rows can tell is said by `checkSizes` once
 * they were counted.
 */
import type { TargetKind } from "../engine/training.ts";
import {
  MAX_CLASS_CHARACTERS_LISTED,
  MAX_CLASSES,
  MAX_CLASSES_LISTED,
  type ColumnSummary,
  type DatasetContent,
} from "./dataset.ts";
import { featuresOf, type DataSizes, type DataSpec } from "./encoding.ts";
import { validationCount } from "./split.ts";

export interface DataFault {
  readonly pointer: string;
  readonly message: string;
}

type Check = (column: ColumnSummary) => string | null;

/** The square of a larger number may not fit a double, and then neither does a variance. */
const MAX_MAGNITUDE = 1e150;
const MAX_FLOAT32 = 3.4028234663852886e38;

export function checkData(
  table: Pick<DatasetContent, "rows" | "columns">,
  data: DataSpec,
  targets: TargetKind,
): DataFault[] {
  const { rows, columns } = table;
  const { target, features, validation } = data;
  const byName = new Map(columns.map((column) => [column.name, column]));
  const faults: DataFault[] = [];
  const known = quotedFirst(columns.map(({ name }) => name));

  const check = (pointer: string, name: string, checks: readonly Check[]) => {
    const column = byName.get(name);
    const messages = column
      ? checks.map((one) => one(column))
      : [`names ${quoted(name)}, and the dataset has only ${known}`];
    for (const message of messages) if (message !== null) faults.push({ pointer, message });
  };

  check("/data/target", target, [emptyCells(rows, data, "target"), targetFault(data, targets)]);
  const seen = new Set<string>();
  for (const [i, name] of featuresOf(columns, data).entries()) {
    const pointer = features === null ? "/data/features" : `/data/features/${i}`;
    if (seen.has(name)) faults.push({ pointer, message: `names ${quoted(name)} a second time` });
    else if (name === target) faults.push({ pointer, message: `names ${quoted(name)}, the target` });
    else check(pointer, name, [emptyCells(rows, data, "feature"), featureFault(data)]);
    seen.add(name);
  }
  if (validation !== null && "column" in validation)
    check("/data/validation/column", validation.column, [markerFault(data)]);
  const valid = validationCount(rows, validation);
  if (valid !== null) faults.push(...checkSides(rows - valid, valid, data));
  return faults;
}

/** What shows once the rows on either side and the inputs have been counted. */
export function checkSizes({ train, valid, width }: Omit<DataSizes, "untrained">, data: DataSpec): DataFault[] {
  const faults = checkSides(train, valid, data);
  if (width === 0 && train > 0) {
    faults.push({
      pointer: "/data/features",
      message: "gives the model no inputs, since the training rows have no values there",
    });
  }
  return faults;
}

function checkSides(train: number, valid: number, { validation }: DataSpec): DataFault[] {
  const pointer = validation === null ? "/data/preprocess/missing" : "/data/validation";
  const faults: DataFault[] = [];
  if (train === 0) faults.push({ pointer, message: "leaves no rows to train on" });
  if (valid === 0 && validation !== null) faults.push({ pointer, message: "leaves no rows to validate on" });
  return faults;
}

function emptyCells(rows: number, { preprocess }: DataSpec, role: "target" | "feature"): Check {
  return ({ name, missing }) => {
    if (missing === 0) return null;
    if (missing === rows) return `names ${quoted(name)}, which has no values at all`;
    if (preprocess.missing === "drop_row" || (preprocess.missing === "mean" && role === "feature")) return null;
    const count = missing === 1 ? "1 empty cell" : `${missing} empty cells`;
    const remedy = role === "target" ? '"drop_row"' : '"mean" or "drop_row"';
    return `names ${quoted(name)}, which has ${count}; /data/preprocess/missing can be ${remedy}`;
  };
}

function targetFault({ preprocess }: DataSpec, targets: TargetKind): Check {
  return (column) => {
    const { name, type, classes, min, max } = column;
    if (targets === "class") {
      if (classes === null) return `names ${quoted(name)}, which has ${TOO_MANY}`;
      const fraction = type === "numeric" ? classes.find((value) => !Number.isInteger(Number(value))) : undefined;
      return fraction === undefined
        ? null
        : `names ${quoted(name)}, whose values (such as ${fraction}) are no classes; a regression loss such as mse takes them`;
    }
    if (type === "categorical") return `names ${quoted(name)}, which is not numeric as this loss needs it`;
    if (targets === "probability" && (Number(min) < 0 || Number(max) > 1)) {
      return `names ${quoted(name)}, whose values go from ${min} to ${max}; this loss needs them between 0 and 1`;
    }
    return magnitudeFault(column, preprocess.target === "none" ? MAX_FLOAT32 : MAX_MAGNITUDE);
  };
}

function featureFault({ preprocess }: DataSpec): Check {
  return (column) => {
    if (column.type === "numeric")
      return magnitudeFault(column, preprocess.numeric === "none" ? MAX_FLOAT32 : MAX_MAGNITUDE);
    return column.classes === null ? `names ${quoted(column.name)}, which is not numeric and has ${TOO_MANY}` : null;
  };
}

function magnitudeFault({ name, min, max }: ColumnSummary, limit: number): string | null {
  const largest = Math.max(-Number(min), Number(max));
  return largest > limit ? `names ${quoted(name)}, whose values go beyond ±${limit}` : null;
}

function markerFault({ target }: DataSpec): Check {
  return ({ name, type }) => {
    if (name === target) return `names ${quoted(name)}, the target`;
    return type === "categorical" ? `names ${quoted(name)}, which is not numeric; rows with 1 validate` : null;
  };
}

const TOO_MANY = `too many distinct values for classes (at most ${MAX_CLASSES}, and ${MAX_CLASSES_LISTED} of ${MAX_CLASS_CHARACTERS_LISTED} characters in all columns together)`;

export function quoted(name: string): string {
  return JSON.stringify(name);
}

/** The first ten names. */
export function quotedFirst(names: readonly string[]): string {
  const more = names.length > 10 ? ` and ${names.length - 10} more` : "";
  return names.slice(0, 10).map(quoted).join(", ") + more;
}
