/** What of a spec's `data` does not go with a text. */
import type { DataSpec } from "./encoding.ts";
import { hasText, NEXT_TOKEN } from "./features.ts";

interface Fault {
  readonly pointer: string;
  readonly message: string;
}

/**
 * @param isText whether the dataset is a text
 * @param isClass whether the loss takes classes
 */
export function textFaults(data: DataSpec, isText: boolean, isClass: boolean): Fault[] {
  const fault = (pointer: string, message: string) => ({ pointer: `/data/${pointer}`, message });
  if (!hasText(data)) {
    return isText
      ? [fault("text", 'is required for a text, such as {"context": 128, "vocabulary": "characters"}')]
      : [];
  }
  if (!isText) return [fault("text", "is for a dataset of the format text, which is uploaded as text/plain")];
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
  if (data.weight !== null) faults.push(fault("weight", "must be null for a text"));
  if (data.class_weight !== null) faults.push(fault("class_weight", "must be null for a text"));
  if (data.window !== null) faults.push(fault("window", "must be null for a text"));
  if (shape !== null) faults.push(fault("shape", "must be null for a text: samples have the shape [context]"));
  return faults;
}
