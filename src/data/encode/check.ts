/**
 * The faults of a spec's `data` for a given dataset, all at once. Each has a pointer into the spec
 * and a message that continues the sentence "<pointer> …". `checkData` needs only the summary of
 * the columns. `checkSizes` finds the faults that only show once the rows have been counted.
 */
import type { TargetKind } from "../../engine/training.ts";
import type { DatasetSummary } from "../beside.ts";
import {
  MAX_CLASS_CHARACTERS_LISTED,
  MAX_CLASSES,
  MAX_CLASSES_LISTED,
  type ColumnSummary,
  type Reason,
  type TensorColumn,
} from "../dataset.ts";
import type { DataSizes, DataSpec, SplitRule } from "./encoding.ts";
import {
  declaredType,
  featuresOf,
  hasText,
  isArray,
  isLanguage,
  targetColumns,
  type TableSummary,
} from "./features.ts";
import { sideCounts } from "./split.ts";
import { noTextFault, textColumnFaults, textFaults, textRemedy } from "./text-faults.ts";
import { viewTable } from "./viewed-file.ts";
import { memberPointer, whereFaults } from "./where.ts";

export interface DataFault {
  readonly pointer: string;
  readonly message: string;
}

type Check = (column: ColumnSummary) => string | null;

/** The square of a larger number may not fit a double, and neither may a variance. */
const MAX_MAGNITUDE = 1e150;
const MAX_FLOAT32 = 3.4028234663852886e38;

/** The table with the types that the spec declares, and the faults of these types. */
export function viewedTable(
  dataset: DatasetSummary,
  { columns }: DataSpec,
): { table: TableSummary; faults: DataFault[] } {
  const { table: viewed, faults } = viewTable(dataset, columns);
  const at = (column: string) => memberPointer("/data/columns", column);
  return { table: viewed, faults: faults.map(({ column, message }) => ({ pointer: at(column), message })) };
}

/** @param table with the types that the spec declares */
export function checkData(table: TableSummary, data: DataSpec, targets: TargetKind): DataFault[] {
  const { rows, columns } = table;
  const { features, validation, test } = data;
  if (columns.some(({ type }) => type === "text")) return textFaults(data, targets === "class");
  const targetNames = targetColumns(data);
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
  const checkRule = (pointer: string, rule: SplitRule | null) => {
    if (rule === null) return;
    if ("column" in rule) check(`${pointer}/column`, rule.column, [markerFault(data)]);
    if ("group" in rule) check(`${pointer}/group`, rule.group, [groupFault(rows, data)]);
    const message = stratifyFault(rule, data, byName, targets);
    if (message !== null) faults.push({ pointer: `${pointer}/stratify`, message });
  };

  faults.push(...whereFaults(table, data, known));
  faults.push(...targetListFaults(data, targets));
  for (const [i, name] of targetNames.entries()) {
    const pointer = typeof data.target === "string" ? "/data/target" : `/data/target/${i}`;
    check(pointer, name, [missingTarget(rows, data), targetFault(data, targets)]);
  }
  const exclusionFault = excludeFault(data);
  for (const [i, name] of data.exclude.entries()) check(`/data/exclude/${i}`, name, [exclusionFault]);
  const seen = new Set<string>();
  const featureChecks = [missingFeature(rows, data), hasText(data) ? noTextFault : featureFault(table, data)];
  const named = featuresOf(table, data);
  if (hasText(data)) faults.push(...textColumnFaults(data, named, targets === "class"));
  if (named.length === 0) faults.push({ pointer: "/data/features", message: noFeatures(data) });
  for (const [i, name] of named.entries()) {
    const pointer = features === null ? "/data/features" : `/data/features/${i}`;
    if (seen.has(name)) faults.push({ pointer, message: `names ${quoted(name)} a second time` });
    else if (name === data.target && data.window === null && !isArrayAmong(byName, name))
      faults.push({ pointer, message: `names ${quoted(name)}, the target; leave it out` });
    else check(pointer, name, featureChecks);
    seen.add(name);
  }
  faults.push(...arrayFaults(named, byName));
  if (data.weight !== null) check("/data/weight", data.weight, [missesNone, weightFault(data)]);
  const unbalanced = balanceFault(data, byName, targets);
  if (unbalanced !== null) faults.push({ pointer: "/data/class_weight", message: unbalanced });
  if (data.window !== null) {
    const { order, series } = data.window;
    check("/data/window/order", order, [missesNone, orderFault]);
    if (series !== null) check("/data/window/series", series, [missesNone, seriesFault]);
    if ([...named, ...targetNames].some((name) => isArrayAmong(byName, name)))
      faults.push({ pointer: "/data/window", message: "takes columns with one number or class a row, not arrays" });
  }
  checkRule("/data/validation", validation);
  checkRule("/data/test", test);
  const sides = sideCounts(rows, data);
  if (sides !== null) faults.push(...checkSides(sides, data));
  return faults;
}

/** Faults that only show once the rows on each side and the inputs have been counted. */
export function checkSizes(sizes: Pick<DataSizes, "train" | "valid" | "test" | "width">, data: DataSpec): DataFault[] {
  const faults = checkSides(sizes, data);
  if (sizes.width === 0 && sizes.train > 0) {
    faults.push({
      pointer: "/data/features",
      message: "gives the model no inputs, because these columns have no values in the training rows",
    });
  }
  return faults;
}

function checkSides(
  { train, valid, test }: Pick<DataSizes, "train" | "valid" | "test">,
  { validation, test: testRule }: DataSpec,
): DataFault[] {
  const faults: DataFault[] = [];
  if (train === 0) {
    const rules = validation === null ? "/data/test" : "/data/validation";
    const pointer = validation === null && testRule === null ? "/data/preprocess/missing" : rules;
    faults.push({ pointer, message: "leaves no rows to train on" });
  }
  if (valid === 0 && validation !== null)
    faults.push({ pointer: "/data/validation", message: "leaves no rows to validate on" });
  if (test === 0 && testRule !== null) faults.push({ pointer: "/data/test", message: "leaves no rows to test on" });
  return faults;
}

function noFeatures({ window, text }: DataSpec): string {
  if (text !== null) return "must name a column of texts, because no column looks like one";
  const why = "must list columns, because no column is a feature by default";
  return window === null ? `${why}; texts take /data/text` : `${why}; to predict the target from its own past, list it`;
}

const missesNone: Check = ({ name, missing }) =>
  missing === 0 ? null : `names ${quoted(name)}, whose value is missing in ${missing} rows`;

function weightFault(data: DataSpec): Check {
  return ({ name, type, min }) => {
    if (targetColumns(data).includes(name)) return `names ${quoted(name)}, the target; name another column`;
    if (type !== "numeric") return `names ${quoted(name)}, which does not hold numbers`;
    return Number(min) < 0 ? `names ${quoted(name)}, which has the weight ${min}: weights are at least 0` : null;
  };
}

function balanceFault(
  { class_weight: balance, target }: DataSpec,
  byName: ReadonlyMap<string, ColumnSummary>,
  targets: TargetKind,
): string | null {
  if (balance === null) return null;
  if (targets !== "class" && targets !== "probability")
    return "is for a loss over classes, such as cross_entropy, or over yes and no, such as bce_with_logits";
  if (typeof target !== "string" || isArrayAmong(byName, target))
    return `is for a target with one class a row, and ${quotedFirst(targetColumns({ target }))} has more`;
  const column = byName.get(target);
  if (targets === "class" || column === undefined || column.type === "boolean") return null;
  const other = column.classes?.find((value) => ![0, 1].includes(Number(value)));
  if (column.classes !== null && other === undefined) return null;
  const has = other === undefined ? "more values than these" : `the value ${other}`;
  return `is for a target of the classes 0 and 1, and ${quoted(target)} has ${has}`;
}

const orderFault: Check = ({ name, type }) =>
  type === "numeric" || type === "date" ? null : `names ${quoted(name)}, which holds neither numbers nor dates`;

const seriesFault: Check = ({ name, type, classes }) => {
  const isKnown = type === "numeric" || type === "date" || (type !== "tensor" && classes !== null);
  return isKnown ? null : `names ${quoted(name)}, which has ${TOO_MANY}`;
};

/** What to do about missing cells where `data.preprocess` is another job's. */
function inheritedRemedy({ encoders = "refit" }: DataSpec): string | null {
  if (encoders === null || encoders === "refit") return null;
  return 'the encoders are inherited, and so is /data/preprocess: leave these rows out of the dataset, or "encoders": "refit" in the data fits new ones';
}

function missingTarget(rows: number, data: DataSpec): Check {
  const { preprocess } = data;
  return ({ name, missing }) => {
    if (missing === 0) return null;
    if (missing === rows) return `names ${quoted(name)}, which has no values at all`;
    if (preprocess.missing === "drop_row" || preprocess.missing_target === "drop_row") return null;
    const rest =
      inheritedRemedy(data) ?? '/data/preprocess/missing_target can be "drop_row", which leaves these rows out';
    return `names ${quoted(name)}, whose value is missing in ${missing} of ${rows} rows; ${rest}`;
  };
}

function missingFeature(rows: number, data: DataSpec): Check {
  const { preprocess, features } = data;
  return ({ name, type, missing }) => {
    if (missing === 0) return null;
    if (missing === rows) return `names ${quoted(name)}, which has no values at all${leaveOut(features)}`;
    if (preprocess.missing !== "error") return null;
    const isNumber = type === "numeric" || type === "date";
    const fills = data.text !== null ? TEXT_FILLS : isNumber ? NUMBER_FILLS : CLASS_FILLS;
    const rest =
      inheritedRemedy(data) ?? `/data/preprocess/missing can be ${fills}, or "drop_row"${leaveOut(features)}`;
    return `names ${quoted(name)}, whose value is missing in ${missing} of ${rows} rows; ${rest}`;
  };
}

const NUMBER_FILLS = '"mean", "median" or "most_frequent" (of the training rows)';
const CLASS_FILLS =
  '"most_frequent" (of the training rows), "mean" or "median" (both leave the inputs of its classes 0)';

const TEXT_FILLS = '"most_frequent" (which takes it as an empty text)';

/** How to leave a column out: the last remedy. */
function leaveOut(features: DataSpec["features"]): string {
  return features === null ? "; /data/exclude can leave the column out" : "";
}

/** Faults of a list of targets as a whole. */
function targetListFaults({ target }: DataSpec, targets: TargetKind): DataFault[] {
  if (typeof target === "string") return [];
  if (targets === "class")
    return [
      { pointer: "/data/target", message: "is a list, but this loss needs one column of classes: name it alone" },
    ];
  return target.flatMap((name, i) =>
    target.indexOf(name) < i ? [{ pointer: `/data/target/${i}`, message: `names ${quoted(name)} a second time` }] : [],
  );
}

/** An array is a feature by itself: numbers cannot stand beside it. */
function arrayFaults(features: readonly string[], byName: ReadonlyMap<string, ColumnSummary>): DataFault[] {
  const arrays = features.filter((name) => isArrayAmong(byName, name));
  if (arrays.length === 0 || features.length === 1) return [];
  const message = `must name one of the arrays ${quotedFirst(arrays)} alone, or columns with one number a row`;
  return [{ pointer: "/data/features", message }];
}

function isArrayAmong(byName: ReadonlyMap<string, ColumnSummary>, name: string): boolean {
  const column = byName.get(name);
  return column !== undefined && isArray(column);
}

function targetFault(data: DataSpec, targets: TargetKind): Check {
  const { preprocess } = data;
  return (column) => {
    const { name, type, classes, min, max } = column;
    if (isArray(column)) {
      const fault = arrayTargetFault(column, data, targets);
      if (fault !== null || targets === "class") return fault;
    }
    if (type === "date") return `names ${quoted(name)}, which holds dates, but a target must be a number or a class`;
    if (targets === "class") {
      if (classes === null) return `names ${quoted(name)}, which has ${TOO_MANY}`;
      const fraction = type === "numeric" ? classes.find((value) => !Number.isInteger(Number(value))) : undefined;
      return fraction === undefined
        ? null
        : `names ${quoted(name)}, whose values (such as ${fraction}) are not classes; use a regression loss such as mse`;
    }
    if (type === "boolean" && targets === "probability") return null;
    if (type !== "numeric" && type !== "tensor")
      return `names ${quoted(name)}, which is not numeric, but this loss needs numbers; cross_entropy takes classes${because(column)}`;
    const wanted = RANGES[targets]?.(column);
    if (wanted) return `names ${quoted(name)}, whose values go from ${min} to ${max}; this loss needs them ${wanted}`;
    if (preprocess.target === "standardize" && asTheyAre.has(targets))
      return `names ${quoted(name)}, whose values this loss takes as they are; /data/preprocess/target can be "none"`;
    return magnitudeFault(column, preprocess.target === "none" ? MAX_FLOAT32 : MAX_MAGNITUDE);
  };
}

function arrayTargetFault({ name, dtype, shape, classes }: TensorColumn, { target }: DataSpec, targets: TargetKind) {
  if (typeof target !== "string")
    return `names ${quoted(name)}, which has an array in each row: an array is a target alone, not in a list`;
  if (targets !== "class" || classes !== null) return null;
  const has = `names ${quoted(name)}, whose rows are ${dtype} arrays of the shape [${shape.join(", ")}]`;
  return `${has}; classes are whole numbers, one a row or an array of them, with at most ${MAX_CLASSES} different ones`;
}

/** Numbers that mean something else once they are standardised. */
const asTheyAre = new Set<TargetKind>(["count", "sign", "number"]);

/** For kinds of numbers: where the values ought to be, if they are elsewhere. */
const RANGES: Partial<Record<TargetKind, (column: ColumnSummary) => string | null>> = {
  probability: (column) => {
    const { min, max } = column;
    if (Number(min) >= 0 && Number(max) <= 1) return null;
    if (isArray(column) && Number(min) >= 0)
      return `between 0 and 1: upload the array divided by ${max}, or take mse, which scales it`;
    return "between 0 and 1: write yes as 1 and no as 0, or take cross_entropy for classes and mse for numbers";
  },
  count: ({ min }) => (Number(min) < 0 ? "to be at least 0" : null),
  sign: ({ classes, min, max }) =>
    (classes ?? [min, max]).every((value) => Math.abs(Number(value)) === 1) ? null : "to be −1 or 1",
};

/** The cell that made the column text, if its other cells are not text. */
function because({ reason }: ColumnSummary): string {
  return reason === null ? "" : `; ${reasonText(reason)}`;
}

/** The message without its full stop, because it ends another sentence. */
export function reasonText({ line, message }: Reason): string {
  return `in line ${line}, ${message.replace(/\.$/, "")}`;
}

function featureFault(table: TableSummary, data: DataSpec): Check {
  return (column) => {
    if (column.type === "numeric")
      return magnitudeFault(column, data.preprocess.numeric === "none" ? MAX_FLOAT32 : MAX_MAGNITUDE);
    if (isArray(column)) return magnitudeFault(column, data.preprocess.tensor === "none" ? MAX_FLOAT32 : MAX_MAGNITUDE);
    if (column.type === "date" || column.classes !== null) return null;
    const isText = declaredType(table, data, column.name) === "text";
    const what = isText ? "is declared text" : `is not numeric and has ${TOO_MANY}`;
    return `names ${quoted(column.name)}, which ${what}${textRemedy(column)}${leaveOut(data.features)}${because(column)}`;
  };
}

function excludeFault({ target, features }: DataSpec): Check {
  const listed = new Set(features);
  const targets = new Set(targetColumns({ target }));
  return ({ name }) => {
    if (targets.has(name)) return `names ${quoted(name)}, the target; leave it out`;
    return listed.has(name)
      ? `names ${quoted(name)}, which is one of /data/features: remove it there, or set /data/features to null`
      : null;
  };
}

function markerFault(data: DataSpec): Check {
  return (column) => {
    const { name, type } = column;
    if (targetColumns(data).includes(name)) return `names ${quoted(name)}, the target; name another column`;
    if (type === "numeric" || type === "boolean") return null;
    return `names ${quoted(name)}, which is not numeric: it must hold 1 in the rows that are chosen${because(column)}`;
  };
}

function groupFault(rows: number, data: DataSpec): Check {
  return ({ name, type, classes, missing }) => {
    if (targetColumns(data).includes(name)) return `names ${quoted(name)}, the target; name another column`;
    if (type === "tensor") return `names ${quoted(name)}, which has an array in each row; a group is one value`;
    if (type !== "numeric" && type !== "date" && classes === null)
      return `names ${quoted(name)}, whose values are not recorded: it has ${TOO_MANY}; a column of numbers can have any number of groups`;
    return missing > 0
      ? `names ${quoted(name)}, whose value is missing in ${missing} of ${rows} rows; each row needs a group`
      : null;
  };
}

function stratifyFault(
  rule: SplitRule,
  data: DataSpec,
  byName: ReadonlyMap<string, ColumnSummary>,
  targets: TargetKind,
): string | null {
  if (!("stratify" in rule) || !rule.stratify) return null;
  const { target } = data;
  if (isLanguage(data)) return "needs a target with one class a row";
  if (typeof target !== "string") return "needs a target of classes, and the target is a list of numbers";
  const column = byName.get(target);
  if (column === undefined) return null;
  const { name, classes, type } = column;
  if (isArray(column)) return `needs one class a row, and ${quoted(name)} has an array in each`;
  if (classes === null) return `needs a target of classes, and ${quoted(name)} has ${TOO_MANY}`;
  const isNumber = type === "numeric" && !classes.every((value) => Number.isInteger(Number(value)));
  if (targets !== "value" && !isNumber) return null;
  return `needs a target of classes, and under this loss ${quoted(name)} is a number`;
}

function magnitudeFault({ name, min, max }: ColumnSummary, limit: number): string | null {
  const largest = Math.max(-Number(min), Number(max));
  return largest > limit ? `names ${quoted(name)}, whose values go beyond ±${limit}` : null;
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
