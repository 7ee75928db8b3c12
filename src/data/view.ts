/**
 * A recorded column as another type, for one job: what `data.columns` of a spec asks for.
 *
 * Everything follows from the record: numbers and dates become classes by their listed values, and
 * classes become numbers, dates or booleans by their spelling. What the record does not hold is a
 * fault whose remedy is to upload the file again with the type.
 */
import { parseDecimal } from "./cell-number.ts";
import { MISSING_CODE, type ColumnValues } from "./column.ts";
import type { ColumnSummary } from "./dataset.ts";
import type { DeclaredType, Reading } from "./reading.ts";

export interface ColumnView {
  /** `mean` is null, and `missing` what is known at least, where only the values could tell. */
  readonly summary: ColumnSummary;
  /** From the values of the recorded column to those of the view. */
  readonly convert: (recorded: ColumnValues) => ColumnValues;
}

/** `fault` continues the sentence "<pointer> …". */
export type Viewed = ColumnView | { readonly fault: string };

/** `reading` is that of the column's dataset. `ignore` changes nothing here: it concerns the default features. */
export function viewColumn(
  summary: ColumnSummary,
  type: DeclaredType,
  _reading: Pick<Reading, "decimal" | "missing_values">,
): Viewed {
  if (type === "ignore" || type === summary.type) return { summary, convert: (recorded) => recorded };
  if (type === "text")
    return { summary: { ...nothing(summary), type: "categorical", classes: null }, convert: () => null };
  const { name, classes } = summary;
  if (classes === null)
    return {
      fault: `declares ${JSON.stringify(name)} ${type}, whose values are not listed; upload the file with ?columns= instead`,
    };
  if (type === "categorical" && summary.type === "numeric") {
    const codes = new Map(classes.map((value, code) => [Number(value), code]));
    return {
      summary: { ...nothing(summary), type, classes },
      convert: (recorded) => Uint16Array.from(recorded ?? [], (value) => codes.get(value) ?? MISSING_CODE),
    };
  }
  if (type === "numeric") {
    const numbers = classes.map(parseDecimal);
    const odd = numbers.findIndex(Number.isNaN);
    if (odd >= 0)
      return { fault: `declares ${JSON.stringify(name)} numeric, and its class ${classes[odd]} is no number` };
    return {
      summary: { ...nothing(summary), type, min: Math.min(...numbers), max: Math.max(...numbers), classes },
      convert: (recorded) =>
        Float64Array.from(recorded ?? [], (code) => (code === MISSING_CODE ? Number.NaN : numbers[code])),
    };
  }
  return { fault: `declares ${JSON.stringify(name)} ${type}, which it cannot be` };
}

function nothing(summary: ColumnSummary): ColumnSummary {
  return { ...summary, min: null, max: null, mean: null, reason: null };
}
