/*
 * Encoders that another job fitted, on data that it never saw.
 *
 * Learned weights mean the numbers that these encoders make. So the columns must be there, with the
 * types that the encoders read. A class that an encoder does not know has no input: that is a
 * fault, unless the spec has it encoded as zeros. A class of the target has no output: that is
 * always a fault. Numbers far from those that the encoders were fitted to are told, and no more.
 */
import { fitsShape, size } from "../../engine/member/shape.ts";
import type { FeatureForm } from "../../engine/plan/taken.ts";
import type { ColumnSummary } from "../dataset.ts";
import type { DeclaredType } from "../reading.ts";
import { isInteger } from "../tensors/elements.ts";
import { quoted, type DataFault } from "./check.ts";
import type {
  Encoder,
  Encoding,
  IndicatorEncoder,
  Inherited,
  InputEncoding,
  TargetEncoding,
  TensorEncoder,
  TextEncoder,
} from "./encoding.ts";
import { hasTexts, isArray, type TableSummary } from "./features.ts";
import { isApart, type MeasuredInputs } from "./fit.ts";
import type { ViewedFile } from "./viewed-file.ts";

/** What the data have, and those that the encoders were fitted to did not. */
export interface Outside {
  /** Classes that the encoders do not know. */
  readonly classes: readonly { readonly column: string; readonly classes: readonly string[] }[];
  /** Columns whose numbers go from `min` to `max`, far from where they were before. */
  readonly ranges: readonly FarRange[];
}

interface FarRange {
  readonly column: string;
  readonly min: number;
  readonly max: number;
  /** In words. */
  readonly before: string;
}

/** The features, in the order of the encoders. */
export function inheritedFeatures({ inputs }: Pick<Encoding, "inputs">): string[] {
  return [...new Set(inputs.flatMap(({ encoders }) => encoders.map(({ column }) => column)))];
}

/** The types that columns must be taken as because the encoders read them so. */
export function inheritedTypes(
  { columns }: Pick<TableSummary, "columns">,
  { inputs }: Pick<Encoding, "inputs">,
): Record<string, DeclaredType> {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const types: Record<string, DeclaredType> = {};
  for (const encoder of encodersOf(inputs)) {
    const column = byName.get(encoder.column);
    if (column === undefined || !isOfTable(encoder)) continue;
    if (!reads(encoder, column)) types[encoder.column] = encoder.type;
  }
  return types;
}

function isOfTable(encoder: Encoder): encoder is Exclude<Encoder, IndicatorEncoder | TensorEncoder | TextEncoder> {
  return encoder.type !== "missing_indicator" && encoder.type !== "tensor" && encoder.type !== "text";
}

function encodersOf(inputs: readonly InputEncoding[]): Encoder[] {
  return inputs.flatMap(({ encoders }) => encoders);
}

/** Whether the column has values such as the encoder takes. */
function reads(encoder: Encoder, column: ColumnSummary): boolean {
  switch (encoder.type) {
    case "missing_indicator":
      return !isArray(column);
    case "text":
      return hasTexts(column);
    case "categorical":
      return (column.type === "categorical" || column.type === "boolean") && column.classes !== null;
    default:
      return column.type === encoder.type;
  }
}

/** @param table with the types that the spec declares, and those that the encoders need */
export function inheritedFaults(table: TableSummary, { inputs }: Inherited): DataFault[] {
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const faults = new Map<string, string>();
  for (const input of inputs) {
    for (const encoder of input.encoders) {
      const column = byName.get(encoder.column);
      const why = column === undefined ? "the dataset lacks" : unfit(encoder, column, input);
      if (why !== null) faults.set(encoder.column, `takes ${quoted(encoder.column)}, which ${why}`);
    }
  }
  return [...faults.values()].map((message) => ({ pointer: "/data/encoders", message }));
}

function unfit(encoder: Encoder, column: ColumnSummary, { shape, type, categories }: InputEncoding): string | null {
  if (!reads(encoder, column)) {
    const wanted = encoder.type === "tensor" ? "an array in each row" : `of the type ${encoder.type}`;
    return `was ${wanted}, and here is ${column.type}`;
  }
  if (isArray(column) && !fitsShape(column.shape, shape))
    return `has arrays of ${column.shape.join(" × ")}, and the model takes ${shape.join(" × ")}`;
  if (type === "float32" || encoder.type === "categorical" || encoder.type === "text") return null;
  if (isArray(column) && !isInteger(column.dtype)) return "was whole numbers, and here is not";
  const known = [categories ?? 0].flat().reduce((most, count) => Math.max(most, count), 0);
  const fits = Number(column.min) >= 0 && Number(column.max) < known;
  return fits ? null : `has numbers from ${column.min} to ${column.max}, and the model knows 0 to ${known - 1}`;
}

/** What the plan needs to know of the inputs, and the faults that only the rows show. */
export async function measureInherited(
  file: ViewedFile,
  inherited: Inherited,
  takes: FeatureForm,
): Promise<MeasuredInputs> {
  const { faults, ...measured } = inheritedInputs(inherited, takes);
  return { ...measured, faults: [...faults, ...(await fractionFaults(file, inherited))] };
}

/** Likewise without the rows. */
export function inheritedInputs({ inputs }: Inherited, takes: FeatureForm): MeasuredInputs {
  const values = inputs.map(({ encoders: _encoders, ...value }) => value);
  const width = values.reduce((sum, { shape }) => sum + size(shape), 0);
  if (isApart(inputs) === (takes === "columns")) return { width, inputs: values, faults: [] };
  const [given, wanted] = isApart(inputs) ? ["classes and numbers apart", "one input"] : ["one input", "both apart"];
  const message = `give ${given}, and the model takes ${wanted}: "refit" fits encoders for it`;
  return { width, inputs: values, faults: [{ pointer: "/data/encoders", message }] };
}

async function fractionFaults(file: ViewedFile, { inputs }: Inherited): Promise<DataFault[]> {
  const faults: DataFault[] = [];
  for (const { encoders, type: kind } of inputs) {
    for (const { column, type } of kind === "int32" ? encoders : []) {
      if (type !== "numeric" || (await file.numbers(file.index(column))).every(Number.isInteger)) continue;
      const message = `takes ${quoted(column)} as whole numbers, and here some are not, or are missing`;
      faults.push({ pointer: "/data/encoders", message });
    }
  }
  return faults;
}

/** @param table with the types that the spec declares, and those that the encoders need */
export function outsideOf(table: TableSummary, { inputs, target }: Inherited): Outside {
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const classes = [];
  const ranges: FarRange[] = [];
  for (const encoder of encodersOf(inputs)) {
    const column = byName.get(encoder.column)!;
    if (encoder.type === "categorical") {
      const unknown = unknownClasses(column, encoder.classes);
      if (unknown.length > 0) classes.push({ column: column.name, classes: unknown });
    }
    const before = farFrom(encoder, column);
    if (before !== null) ranges.push({ column: column.name, min: column.min!, max: column.max!, before });
  }
  const before = target === null ? null : farTarget(target, byName);
  return { classes, ranges: before === null ? ranges : [...ranges, before] };
}

/** The classes of the target that the encoders do not know. */
export function unknownTargets({ columns }: TableSummary, { target }: Inherited): string[] {
  const column = columns.find(({ name }) => name === target?.column);
  return column === undefined || !target?.classes ? [] : unknownClasses(column, target.classes);
}

function unknownClasses({ classes }: ColumnSummary, known: readonly string[]): string[] {
  const all = new Set(known);
  return (classes ?? []).filter((name) => !all.has(name));
}

/** How many deviations from the mean are far. */
const FAR_DEVIATIONS = 10;
/** Arrays whose largest number is so many times smaller are probably scaled already. */
const FAR_SHRUNK = 8;

/** Where the numbers of a column were before, if they are far from there now. */
function farFrom(encoder: Encoder, { min, max }: ColumnSummary): string | null {
  if (min === null || max === null) return null;
  if (encoder.type === "tensor") return farArray(encoder, min, max);
  if (encoder.type !== "numeric") return null;
  const range = encoder.max - encoder.min || Math.abs(encoder.max) || 1;
  const isFar = min < encoder.min - range || max > encoder.max + range;
  return isFar ? between(encoder.min, encoder.max) : null;
}

function farArray({ mean, std, max: unit }: TensorEncoder, min: number, max: number): string | null {
  if (unit !== null) {
    const isFar = max > 2 * unit || min < -unit || max * FAR_SHRUNK < unit;
    return isFar ? `at most ${unit}` : null;
  }
  if (mean === null || std === null) return null;
  const low = mean.reduce((least, each, i) => Math.min(least, each - FAR_DEVIATIONS * std[i]), Infinity);
  const high = mean.reduce((most, each, i) => Math.max(most, each + FAR_DEVIATIONS * std[i]), -Infinity);
  return min < low || max > high ? `mostly ${between(low, high)}` : null;
}

function farTarget({ column, mean, std }: TargetEncoding, byName: ReadonlyMap<string, ColumnSummary>): FarRange | null {
  const summary = typeof column === "string" ? byName.get(column) : undefined;
  if (summary?.min == null || summary.max === null || typeof mean !== "number" || typeof std !== "number") return null;
  // A target that is not scaled may be anywhere.
  if (mean === 0 && std === 1) return null;
  const [low, high] = [mean - FAR_DEVIATIONS * std, mean + FAR_DEVIATIONS * std];
  if (summary.min >= low && summary.max <= high) return null;
  return { column: summary.name, min: summary.min, max: summary.max, before: `mostly ${between(low, high)}` };
}

function between(low: number, high: number): string {
  return `between ${Number(low.toPrecision(6))} and ${Number(high.toPrecision(6))}`;
}
