/** What of a spec's `data` does not go with a text, or with texts in a column of a table. */
import { keepsTexts, MAX_TEXT_BYTES, type ColumnSummary } from "../dataset.ts";
import type { DataSpec } from "./encoding.ts";
import { hasText, hasTexts, isLanguage, NEXT_TOKEN, type TextSpec } from "./features.ts";

interface Fault {
  readonly pointer: string;
  readonly message: string;
}

const fault = (pointer: string, message: string): Fault => ({ pointer: `/data/${pointer}`, message });

/**
 * The dataset is a text.
 * @param isClass whether the loss takes classes
 */
export function textFaults(data: DataSpec, isClass: boolean): Fault[] {
  if (!hasText(data))
    return [fault("text", 'is required for a text, such as {"context": 128, "vocabulary": "characters"}')];
  const faults: Fault[] = [];
  if (data.target !== NEXT_TOKEN) faults.push(fault("target", `must be "${NEXT_TOKEN}" for a text`));
  else if (!isClass)
    faults.push(fault("target", `is "${NEXT_TOKEN}", a class, and needs a loss of classes such as cross_entropy`));
  for (const name of ["validation", "test"] as const) {
    const rule = data[name];
    if (rule !== null && !("tail" in rule)) faults.push(fault(name, 'must be null or {"tail"} for a text'));
  }
  const { features, exclude, columns, shape } = data;
  if (features !== null && (features.length !== 1 || features[0] !== "text"))
    faults.push(fault("features", "must be null for a text"));
  if (exclude.length > 0) faults.push(fault("exclude", "must be empty for a text"));
  if (Object.keys(columns).length > 0) faults.push(fault("columns", "must be empty for a text"));
  if ((data.where ?? null) !== null) faults.push(fault("where", "must be null for a text"));
  if (data.weight !== null) faults.push(fault("weight", "must be null for a text"));
  if (data.class_weight !== null) faults.push(fault("class_weight", "must be null for a text"));
  if (data.window !== null) faults.push(fault("window", "must be null for a text"));
  if (shape !== null) faults.push(fault("shape", "must be null for a text: samples have the shape [context]"));
  return faults;
}

/**
 * The dataset is a table, with texts in a column.
 * @param names the features
 */
export function textColumnFaults(data: TextSpec, names: readonly string[], isClass: boolean): Fault[] {
  const faults: Fault[] = [];
  const listed = names.map((name) => JSON.stringify(name)).join(", ");
  if (names.length > 1)
    faults.push(fault("features", `must name one column of texts, and there are ${names.length}: ${listed}`));
  if (data.window !== null) faults.push(fault("window", "must be null beside /data/text"));
  if (data.shape !== null) faults.push(fault("shape", "must be null: samples have the shape [context]"));
  if (!isLanguage(data)) {
    if (data.text.stride !== null)
      faults.push(
        fault(
          "text/stride",
          `must be null, because each row is one sample; the target "${NEXT_TOKEN}" cuts texts into several`,
        ),
      );
    return faults;
  }
  if (!isClass)
    faults.push(fault("target", `is "${NEXT_TOKEN}", a class, and needs a loss of classes such as cross_entropy`));
  for (const name of ["weight", "class_weight"] as const)
    if (data[name] !== null) faults.push(fault(name, `must be null for the target "${NEXT_TOKEN}"`));
  return faults;
}

/** Why a column has no texts; null if it has. The message continues the sentence "<pointer> …". */
export function noTextFault(column: ColumnSummary): string | null {
  const name = JSON.stringify(column.name);
  if (hasTexts(column))
    return textBytes(column) <= MAX_TEXT_BYTES
      ? null
      : `names ${name}, whose texts have ${textBytes(column)} bytes: a model can learn from ${MAX_TEXT_BYTES}`;
  const upload = `upload the file with ?columns=${JSON.stringify({ [column.name]: "text" })}`;
  if (column.type === "tensor") return `names ${name}, which has an array in each row, and no text`;
  if (column.type !== "categorical")
    return `names ${name}, which is ${column.type} and no text; to take it as one, ${upload}`;
  return `names ${name}, whose texts are not kept: those of a dataset may have ${MAX_TEXT_BYTES} bytes, and earlier versions kept none; ${upload}`;
}

/** Of a column that lists classes nobody counts them. */
function textBytes(column: ColumnSummary): number {
  return "text_bytes" in column ? (column.text_bytes ?? 0) : 0;
}

/** What else can be done with a column that is no feature as it is. */
export function textRemedy(column: ColumnSummary): string {
  return keepsTexts(column) ? "; /data/text can make tokens of its texts" : "";
}
