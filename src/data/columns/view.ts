/**
 * A recorded column as another type, for one job: what `data.columns` of a spec asks for.
 *
 * Everything follows from the record. Numbers and dates become classes by their listed values.
 * Classes become numbers, dates or booleans by their spelling. If the record does not hold enough,
 * that is a fault, and its remedy is to upload the file again with the type.
 */
import { MissingCells } from "./cell-word.ts";
import { holdsDoubles, MISSING_CODE, tabulated, type ColumnValues } from "./column.ts";
import type { ColumnSummary, TableColumn } from "../dataset.ts";
import type { DeclaredType, Reading } from "../reading.ts";
import { TypedColumn } from "./typed-column.ts";

export interface ColumnView {
  /** If only the values could tell, `mean` is null and `missing` is a lower bound. */
  readonly summary: ColumnSummary;
  /** Converts the values of the recorded column to those of the view. */
  readonly convert: (recorded: ColumnValues) => ColumnValues;
}

/** `fault` continues the sentence "<pointer> …". */
export type Viewed = ColumnView | { readonly fault: string };

type ReadingOfClasses = Pick<Reading, "decimal" | "decimal_proved" | "missing_values">;

/**
 * `reading` is the reading of the column's dataset. `ignore` changes nothing here, because it
 * concerns the default features only.
 */
export function viewColumn(summary: ColumnSummary, type: DeclaredType, reading: ReadingOfClasses): Viewed {
  if (type === "ignore" || type === summary.type) return { summary, convert: (recorded) => recorded };
  if (summary.type === "text") return { fault: `is ${type}, but the column is a text, which has no other type` };
  if (type === "text" && summary.type !== "tensor") return textView(summary);
  if (summary.type === "tensor")
    return { fault: `is ${type}, but each row of the column is an array, which has no other type` };
  const { name, classes } = summary;
  if (classes === null) {
    if (type === "categorical") return { fault: "is categorical, but the column has too many values to be classes" };
    const option = JSON.stringify({ [name]: type });
    return {
      fault: `is ${type}, but the values of the column are not listed; upload the file with ?columns=${option}`,
    };
  }
  if (summary.type === "date" && type !== "categorical") return { fault: `is ${type}, but the column holds dates` };

  // The classes are read as a column of their own, with the declared type.
  const column = new TypedColumn(name, type, new MissingCells(reading.missing_values));
  for (const cell of classes) column.add(cell, NO_LINE);
  const { decimal: mark, decimal_proved } = reading;
  const fault = column.settle({ mark, proof: decimal_proved ? "declared" : null });
  if (fault !== null) return { fault: `is ${type}, but ${fault.message.replace(/\.$/, "")}` };
  const viewed = column.finish();
  return {
    summary: {
      ...viewed.summary,
      missing: summary.missing + viewed.summary.missing,
      mean: null,
      all_different: summary.all_different && viewed.summary.all_different,
      // Other dates are read by it too, and then taken as classes.
      ...(summary.date_order === undefined ? {} : { date_order: summary.date_order }),
    },
    convert: (recorded) => converted(codesOf(recorded, summary, classes), viewed.values),
  };
}

/** Its texts are the kept ones, or its classes. */
function textView(summary: TableColumn): ColumnView {
  const { classes } = summary;
  const text = { ...undescribed(summary), type: "categorical", classes: null } as const;
  if (holdsDoubles(summary)) return { summary: text, convert: () => null };
  const bytes = classes?.reduce((sum, name) => sum + Buffer.byteLength(name), 0);
  return { summary: { ...text, text_bytes: bytes ?? summary.text_bytes }, convert: (recorded) => recorded };
}

/** Classes stand on no line. */
const NO_LINE = 0;

function undescribed(summary: TableColumn): TableColumn {
  return { ...summary, min: null, max: null, mean: null, reason: null };
}

/** The class of each row. */
function codesOf(recorded: ColumnValues, summary: ColumnSummary, classes: readonly string[]): Uint16Array {
  if (!(recorded instanceof Float64Array)) return recorded ?? new Uint16Array();
  const valueOf = summary.type === "date" ? Date.parse : Number;
  const codes = new Map(classes.map((text, code) => [valueOf(text), code]));
  const coded = new Uint16Array(recorded.length);
  for (let row = 0; row < coded.length; row++) coded[row] = codes.get(recorded[row]) ?? MISSING_CODE;
  return coded;
}

function converted(codes: Uint16Array, values: ColumnValues): ColumnValues {
  if (values === null) return null;
  if (values instanceof Float64Array) return tabulated(codes, values);
  return codes.map((code) => (code === MISSING_CODE ? MISSING_CODE : values[code]));
}
