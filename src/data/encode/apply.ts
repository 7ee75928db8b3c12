/*
 * Applies encoders to columns: those of a dataset's file, or those of rows that came otherwise. A
 * scaled value is (x − offset) / divisor in double, rounded once to float32.
 */
import { size, type ElementType, type Shape } from "../../engine/member/shape.ts";
import type { InputArray } from "../../engine/training.ts";
import { MISSING_CODE, missingTest } from "../columns/column.ts";
import type { TensorValues } from "../tensors/elements.ts";
import { datePart } from "./date-parts.ts";
import type {
  CategoricalEncoder,
  DateEncoder,
  Encoder,
  InputEncoding,
  NumericEncoder,
  TensorEncoder,
  TextEncoder,
} from "./encoding.ts";
import { encodeRowTexts } from "./apply-texts.ts";
import type { RowTexts } from "../text/texts.ts";

/** The columns that encoders read. */
export interface ColumnSource {
  readonly rows: number;
  column(name: string): Promise<SourceColumn>;
  /** Of a column of texts. */
  texts(name: string): Promise<RowTexts>;
}

/**
 * Numbers and dates are doubles, with NaN for missing cells. Classes are indices into `classes`,
 * with `MISSING_CODE` for missing cells. An array has the elements of all rows.
 */
export interface SourceColumn {
  readonly values: Float64Array | Uint16Array | TensorValues;
  readonly classes: readonly string[] | null;
}

/**
 * One input of the model for all rows of the source. One column is in memory at a time. `into`:
 * where its numbers are put, which may hold others until then.
 */
export async function applyEncoders(
  { encoders, ...input }: InputEncoding,
  source: ColumnSource,
  into: ArrayBufferLike = new SharedArrayBuffer(4 * source.rows * size(input.shape)),
): Promise<InputArray> {
  const width = size(input.shape);
  const count = source.rows * width;
  const numbers = input.type === "int32" ? new Int32Array(into, 0, count) : new Float32Array(into, 0, count);
  numbers.fill(0);
  let column: SourceColumn | null = null;
  let first = 0;
  for (const [i, encoder] of encoders.entries()) {
    if (encoder.type === "text") {
      encodeRowTexts(encoder, await source.texts(encoder.column), numbers, width);
      continue;
    }
    // The encoders of a column stand side by side.
    if (column === null || encoder.column !== encoders[i - 1].column) column = await source.column(encoder.column);
    encodeColumn(encoder, column, { numbers, first, width, shape: input.shape });
    first += widthOf([encoder], input.type);
  }
  return { ...input, values: numbers };
}

/** How many numbers encoders of single columns make of a row in one input. */
export function widthOf(encoders: readonly Encoder[], type: ElementType = "float32"): number {
  return encoders.reduce(
    (sum, encoder) => sum + (encoder.type === "categorical" && type === "float32" ? encoder.classes.length : 1),
    0,
  );
}

/** The place of a column's numbers: they begin at `first` in each row of `width`. */
interface Place {
  readonly numbers: Float32Array | Int32Array;
  readonly first: number;
  readonly width: number;
  /** Of a row. */
  readonly shape: Shape;
}

function encodeColumn(encoder: Exclude<Encoder, TextEncoder>, { values, classes }: SourceColumn, place: Place): void {
  switch (encoder.type) {
    case "numeric":
      return encodeNumbers(encoder, values as Float64Array, place);
    case "date":
      return encodeNumbers(encoder, datePart(values as Float64Array, encoder.part), place);
    case "categorical":
      return encodeClasses(encoder, classes ?? [], values as Uint16Array, place);
    case "missing_indicator":
      return encodeMissing(values as Float64Array | Uint16Array, place);
    case "tensor":
      return encodeTensor(encoder, values, place);
  }
}

function encodeNumbers(
  encoder: NumericEncoder | DateEncoder,
  values: Float64Array,
  { numbers, first, width }: Place,
): void {
  const { offset, divisor } = scaling(encoder);
  for (let row = 0; row < values.length; row++) {
    const value = Number.isNaN(values[row]) ? encoder.fill : values[row];
    // A missing cell without a fill is in a row that was dropped.
    if (value !== null) numbers[row * width + first] = (value - offset) / divisor;
  }
}

function scaling({ scale, mean, std, min, max }: NumericEncoder | DateEncoder): { offset: number; divisor: number } {
  if (scale === "standardize") return { offset: mean, divisor: std };
  if (scale === "min_max") return { offset: min, divisor: max - min || 1 };
  return { offset: 0, divisor: 1 };
}

/**
 * A class is a 1 among zeros. In an input of integers it is its place among the classes, counted
 * from 1.
 */
function encodeClasses(
  encoder: CategoricalEncoder,
  classes: readonly string[],
  codes: Uint16Array,
  { numbers, first, width }: Place,
): void {
  const position = new Map(encoder.classes.map((name, input) => [classes.indexOf(name), input]));
  const isCode = numbers instanceof Int32Array;
  if (encoder.fill !== null) position.set(MISSING_CODE, encoder.classes.indexOf(encoder.fill));
  for (let row = 0; row < codes.length; row++) {
    const input = position.get(codes[row]);
    if (input === undefined) continue;
    if (isCode) numbers[row * width + first] = input + 1;
    else numbers[row * width + first + input] = 1;
  }
}

function encodeMissing(values: Float64Array | Uint16Array, { numbers, first, width }: Place): void {
  const isMissing = missingTest(values);
  for (let row = 0; row < values.length; row++) if (isMissing(values[row])) numbers[row * width + first] = 1;
}

/** An array is the only column of its input. */
function encodeTensor({ mean, std, max }: TensorEncoder, elements: ArrayLike<number>, { numbers, shape }: Place): void {
  const inner = size(shape.slice(1));
  for (let i = 0, channel = 0, left = inner; i < numbers.length; i++) {
    numbers[i] = std === null ? elements[i] / (max ?? 1) : (elements[i] - mean![channel]) / std[channel];
    if (--left > 0) continue;
    left = inner;
    channel = (channel + 1) % shape[0];
  }
}
