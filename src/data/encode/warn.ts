/**
 * Warnings about the data of a spec that is accepted: silent choices that its author may not have
 * meant. Like faults, each has a pointer into the spec and a message that continues the sentence
 * "<pointer> …".
 */
import { parseDecimal } from "../columns/cell-number.ts";
import { MissingCells } from "../columns/cell-word.ts";
import { quoted, quotedFirst, reasonText } from "./check.ts";
import type { ColumnSummary } from "../dataset.ts";
import type { DataSizes, DataSpec } from "./encoding.ts";
import { featuresOf, isLanguage, leavingOut, targetColumns, type TableSummary } from "./features.ts";

/** The codes, and what each means. */
export const dataWarningCodes = {
  header_of_values: "the first line may be a row instead of a header",
  numbers_as_text: "a column is taken as text because of one cell, although others are numbers or dates",
  unproved_mark: "a column is read with a decimal point, but its points could group thousands",
  missing_as_class: "a column has a class that is spelled like a missing value",
  unique_column: "a column is not a default feature, because nearly all its values differ",
  index_column: "a column without a name, which numbers the rows, is not a default feature",
  constant_target: "the target is the same in all rows that train, so there is nothing to learn",
  untrained_feature: "a feature has no value in the rows that train",
  unknown_character: "a text has characters that no token stands for, because the training text has none of them",
  untrained_class: "a class of the target has no row to train on",
  unseen_class: "a feature has a class that the inherited encoders do not know",
  far_range: "the numbers of a column are far from those that the inherited encoders were fitted to",
} as const;

export interface DataWarning {
  readonly pointer: string;
  readonly code: keyof typeof dataWarningCodes;
  readonly message: string;
}

/** @param table with the types that the spec declares */
export function dataWarnings(table: TableSummary, data: DataSpec, sizes: DataSizes): DataWarning[] {
  if (isLanguage(data)) return unknownWarnings(sizes);
  const used = new Set([...targetColumns(data), ...featuresOf(table, data)]);
  const columns = table.columns.filter(({ name }) => used.has(name));
  return [
    ...headerWarning(table),
    ...columns.flatMap((column) => reasonWarning(column, data)),
    ...columns.flatMap((column) => missingWarning(column, table, data)),
    ...leftOutWarnings(table, data),
    ...emptyWarnings(sizes),
    ...unknownWarnings(sizes),
    ...untrainedWarnings(sizes, data),
    ...constantWarnings(sizes, data),
  ];
}

/** A file without a header loses its first row, and its columns get odd names. */
function headerWarning({ columns, reading }: TableSummary): DataWarning[] {
  const known = columns.filter(({ type, classes }) => type === "numeric" || (type !== "date" && classes !== null));
  const isOwnValue = ({ name, type, classes }: ColumnSummary) =>
    type === "numeric" ? !Number.isNaN(parseDecimal(name)) : classes!.includes(name);
  const hasClass = known.some(({ type }) => type !== "numeric");
  if (!reading.header || !hasClass || !known.every(isOwnValue)) return [];
  const names = quotedFirst(columns.map(({ name }) => name));
  const message = `has columns named ${names}, as if its first line were a row; if it is, upload the file with ?header=false`;
  return [{ pointer: "/data/dataset", code: "header_of_values", message }];
}

function reasonWarning({ name, type, reason }: ColumnSummary, { target }: DataSpec): DataWarning[] {
  if (reason === null) return [];
  if (type === "numeric") {
    const message = `takes ${quoted(name)} as numbers: ${reasonText(reason)}`;
    return [{ pointer: pointerTo(name, target), code: "unproved_mark", message }];
  }
  const message = `takes ${quoted(name)} as text: ${reasonText(reason)}`;
  return [{ pointer: pointerTo(name, target), code: "numbers_as_text", message }];
}

const tokens = new MissingCells(null);

/** If the client declared the missing tokens, there is nothing to warn of. */
function missingWarning(column: ColumnSummary, { reading }: TableSummary, { target }: DataSpec): DataWarning[] {
  const { name, type, classes } = column;
  if (type !== "categorical" || (reading.version > 1 && reading.missing_values !== null)) return [];
  const spelled = (classes ?? []).filter((value) => tokens.is(value) !== "no");
  if (spelled.length === 0) return [];
  const upload = `upload the file with ?missing_values=${JSON.stringify(spelled)}, and what else is missing in it`;
  const message = `takes ${quotedFirst(spelled)} of ${quoted(name)} as a class; if it means a missing value, ${upload}`;
  return [{ pointer: pointerTo(name, target), code: "missing_as_class", message }];
}

function pointerTo(name: string, target: DataSpec["target"]): string {
  return targetColumns({ target }).includes(name) ? "/data/target" : "/data/features";
}

function leftOutWarnings(table: TableSummary, data: DataSpec): DataWarning[] {
  if (data.features !== null) return [];
  const whyNot = leavingOut(table, data);
  const used = new Set(featuresOf(table, data));
  return table.columns
    .filter(({ name }) => !used.has(name))
    .flatMap((column): DataWarning[] => {
      const why = whyNot(column);
      const leaves = `leaves out ${quoted(column.name)}`;
      if (why === "all_different") {
        const message = `${leaves}, whose values are nearly all different; list it in /data/features to use it`;
        return [{ pointer: "/data/features", code: "unique_column", message }];
      }
      if (why !== "ignore" || !isUnnamedIndex(column.name, table, data)) return [];
      const message = `${leaves}, a column without a name that numbers the rows; list it in /data/features to use it`;
      return [{ pointer: "/data/features", code: "index_column", message }];
    });
}

/** Whether the reader gave the column its name and left it out. */
function isUnnamedIndex(name: string, { reading }: TableSummary, { columns }: DataSpec): boolean {
  return /^index(_\d+)?$/.test(name) && Object.hasOwn(reading.columns, name) && !Object.hasOwn(columns, name);
}

function unknownWarnings({ unknown }: DataSizes): DataWarning[] {
  if (unknown.length === 0) return [];
  const message = `leaves out ${quotedFirst(unknown)}, which the text has, and the vocabulary lacks`;
  return [{ pointer: "/data/text/vocabulary", code: "unknown_character", message }];
}

function emptyWarnings({ empty }: DataSizes): DataWarning[] {
  if (empty.length === 0) return [];
  const message = `uses ${quotedFirst(empty)}, which has no value in any row that trains: nothing can be learned from it`;
  return [{ pointer: "/data/features", code: "untrained_feature", message }];
}

function untrainedWarnings({ untrained }: DataSizes, data: DataSpec): DataWarning[] {
  if (untrained.length === 0) return [];
  const { target, validation, test, where = null } = data;
  const rule = validation === null ? "/data/test" : "/data/validation";
  const dropped = where === null ? "/data/preprocess/missing" : "/data/where";
  const pointer = validation === null && test === null ? dropped : rule;
  const which = untrained.length === 1 ? "the class" : "the classes";
  const message = `leaves ${which} ${quotedFirst(untrained)} of ${quotedFirst(targetColumns({ target }))} without a row to train on`;
  return [{ pointer, code: "untrained_class", message }];
}

/** For classes another warning says this: all but one have no row. */
function constantWarnings({ untrained, trained }: DataSizes, { target }: DataSpec): DataWarning[] {
  if (trained === null || trained.vary || untrained.length > 0) return [];
  const message = `names ${quotedFirst(targetColumns({ target }))}, which is the same in all rows that train: there is nothing to learn`;
  return [{ pointer: "/data/target", code: "constant_target", message }];
}
