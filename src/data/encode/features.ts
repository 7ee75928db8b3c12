/**
 * Which columns a model predicts from.
 *
 * A spec may list them. The default is all columns except those that another part of the spec uses,
 * those that were left out on purpose, and those whose values are nearly all different. The last
 * kind names the rows of this table, and says nothing about new rows. Where there are arrays, they
 * are the default, without the columns of single numbers; an array that is the only column and the
 * target is its own feature, as an autoencoder has it. Where tokens are wanted (`data.text`), the
 * default is what looks like texts: what would be left out otherwise. In tables that were recorded
 * before this rule no column is marked as such, so their jobs keep their inputs.
 */
import type { DatasetSummary } from "../beside.ts";
import { keepsTexts, type ColumnSummary, type TensorColumn } from "../dataset.ts";
import type { DataSpec, SplitRule, TextRule } from "./encoding.ts";
import type { DeclaredType, Reading } from "../reading.ts";

/**
 * The same as jobs look at it: a tensor column with one number in a row is a numeric column, and
 * every dataset has a reading (`NO_READING`).
 */
export type TableSummary = Omit<DatasetSummary, "reading"> & { readonly reading: Reading };

/** Why a column is not a default feature. */
export type LeftOut = "used" | "excluded" | "ignore" | "text" | "all_different";

/** The target of a text. */
export const NEXT_TOKEN = "next_token";

/** The `data` of a spec with a text. */
export type TextSpec = DataSpec & { readonly text: TextRule };

export function hasText(data: DataSpec): data is TextSpec {
  return data.text !== null;
}

/** The names of the features, in the order of the model's inputs. */
export function featuresOf(table: TableSummary, data: DataSpec): readonly string[] {
  if (data.features !== null) return data.features;
  const whyNot = leavingOut(table, data);
  if (hasText(data))
    return table.columns.filter((column) => looksLikeText(column, whyNot(column))).map(({ name }) => name);
  const free = table.columns.filter((column) => whyNot(column) === null);
  const arrays = (columns: readonly ColumnSummary[]) => columns.filter(isArray);
  const targets = new Set(targetColumns(data));
  const own = free.length > 0 ? [] : arrays(table.columns).filter(({ name }) => targets.has(name));
  return (arrays(free).length > 0 ? arrays(free) : [...free, ...own]).map(({ name }) => name);
}

/** Whether the texts of a column are known. */
export function hasTexts(column: ColumnSummary): boolean {
  return column.type === "text" || (column.type === "categorical" && (column.classes !== null || keepsTexts(column)));
}

/** Texts that are too many, too long or too different to be classes, or are declared as texts. */
function looksLikeText(column: ColumnSummary, leftOut: LeftOut | null): boolean {
  if (column.type === "text") return true;
  if (column.type !== "categorical" || leftOut === "used" || leftOut === "excluded" || leftOut === "ignore")
    return false;
  return column.classes === null || leftOut !== null;
}

/** Whether a column has an array in each row. Those of one number were made numeric. */
export function isArray(column: ColumnSummary): column is TensorColumn {
  return column.type === "tensor";
}

/** Whether the model learns to go on with a text. */
export function isLanguage({ target, text = null }: Pick<DataSpec, "target"> & Partial<Pick<DataSpec, "text">>) {
  return text !== null && target === NEXT_TOKEN;
}

/** The columns to predict. */
export function targetColumns(data: Pick<DataSpec, "target"> & Partial<Pick<DataSpec, "text">>): readonly string[] {
  const { target } = data;
  if (isLanguage(data)) return [];
  return typeof target === "string" ? [target] : target;
}

/** Returns a function that says why a column is not a default feature, or null if it is one. */
export function leavingOut(table: TableSummary, data: DataSpec): (column: ColumnSummary) => LeftOut | null {
  const used = new Set([
    ...targetColumns(data),
    ...ruleColumns(data.validation),
    ...ruleColumns(data.test),
    ...windowColumns(data),
    ...whereColumns(data),
    ...partitionColumns(data),
    ...(data.weight === null ? [] : [data.weight]),
  ]);
  const excluded = new Set(data.exclude);
  return (column) => {
    if (used.has(column.name)) return "used";
    if (excluded.has(column.name)) return "excluded";
    const declared = declaredType(table, data, column.name);
    if (declared === "ignore" || declared === "text") return declared;
    return column.all_different ? "all_different" : null;
  };
}

/** The type that the spec declares for a column, or else the upload; null if neither does. */
export function declaredType(
  { reading }: Pick<TableSummary, "reading">,
  { columns }: Pick<DataSpec, "columns">,
  name: string,
): DeclaredType | null {
  if (Object.hasOwn(columns, name)) return columns[name];
  return Object.hasOwn(reading.columns, name) ? reading.columns[name] : null;
}

/** The columns that choose rows. */
export function whereColumns({ where }: Pick<DataSpec, "where">): string[] {
  return Object.keys(where ?? {});
}

/** The columns that tell the models of a set apart. */
export function partitionColumns({ partition_by: columns = null }: Pick<DataSpec, "partition_by">): readonly string[] {
  return columns === null ? [] : [columns].flat();
}

/** The columns that put rows in order. */
export function windowColumns({ window }: DataSpec): string[] {
  if (window === null) return [];
  return window.series === null ? [window.order] : [window.order, window.series];
}

/** The columns that a rule looks at. */
export function ruleColumns(rule: SplitRule | null): string[] {
  if (rule === null) return [];
  if ("column" in rule) return [rule.column];
  return "group" in rule ? [rule.group] : [];
}
