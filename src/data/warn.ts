/**
 * What whoever posts a spec should know of its data although they are accepted: silent choices that
 * may not be meant. Like faults, each has a pointer into the spec and a message that continues the
 * sentence "<pointer> …".
 */
import { quoted, quotedFirst } from "./check.ts";
import type { ColumnSummary } from "./dataset.ts";
import { featuresOf, type DataSizes, type DataSpec } from "./encoding.ts";

/** What they are about. */
export const dataWarningCodes = {
  numbers_as_text: "a column is taken as text because of a cell, though others are numbers or dates",
  untrained_class: "a class of the target has no row to train on",
} as const;

export interface DataWarning {
  readonly pointer: string;
  readonly code: keyof typeof dataWarningCodes;
  readonly message: string;
}

interface Table {
  readonly columns: readonly ColumnSummary[];
  readonly sizes: DataSizes;
}

export function dataWarnings({ columns, sizes }: Table, data: DataSpec): DataWarning[] {
  return [...textWarnings(columns, data), ...untrainedWarnings(sizes, data)];
}

/** Columns that are in use, and were read as text because of a few cells. */
function textWarnings(columns: readonly ColumnSummary[], data: DataSpec): DataWarning[] {
  const used = new Set([data.target, ...featuresOf(columns, data)]);
  return columns.flatMap(({ name, reason }) => {
    if (reason === null || !used.has(name)) return [];
    const pointer = name === data.target ? "/data/target" : "/data/features";
    const message = `takes ${quoted(name)} as text, though other cells of it are numbers or dates: ${quoted(reason.cell)} in line ${reason.line} ${reason.message}`;
    return [{ pointer, code: "numbers_as_text", message }];
  });
}

function untrainedWarnings({ untrained }: DataSizes, { target, validation }: DataSpec): DataWarning[] {
  if (untrained.length === 0) return [];
  const pointer = validation === null ? "/data/preprocess/missing" : "/data/validation";
  const which = untrained.length === 1 ? "the class" : "the classes";
  const message = `leaves ${which} ${quotedFirst(untrained)} of ${quoted(target)} without a row to train on`;
  return [{ pointer, code: "untrained_class", message }];
}
