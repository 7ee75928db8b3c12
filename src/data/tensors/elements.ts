/*
 * The elements of arrays, as files hold them and as a dataset keeps them.
 *
 * Whole numbers of more than 32 bits are kept as int32, which is what the engine takes. A number
 * that has no place there is refused, and so is what is not finite. Halves become float32, which
 * holds them all. Everything else is kept as it is, so that a dataset takes little more room than
 * its file unpacked.
 */
import { InvalidDataset } from "../dataset.ts";
import type { Dtype } from "./dtype.ts";

/** Numbers of a tensor column, in row-major order. */
export type TensorValues =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** The bytes of an element in a file, and the way to what is kept. */
interface ElementType {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly kept: keyof typeof arrays;
  /** From the little-endian bytes of all elements. */
  keep(raw: ArrayBuffer): TensorValues | Beyond;
}

/** An element that int32 does not hold: where it is, and what. */
interface Beyond {
  readonly index: number;
  readonly value: bigint;
}

const arrays = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};

const types = {
  bool: { bytes: 1, kept: "uint8", keep: (raw) => new Uint8Array(raw).map((byte) => (byte === 0 ? 0 : 1)) },
  uint8: { bytes: 1, kept: "uint8", keep: (raw) => new Uint8Array(raw) },
  int8: { bytes: 1, kept: "int8", keep: (raw) => new Int8Array(raw) },
  uint16: { bytes: 2, kept: "uint16", keep: (raw) => new Uint16Array(raw) },
  int16: { bytes: 2, kept: "int16", keep: (raw) => new Int16Array(raw) },
  uint32: { bytes: 4, kept: "int32", keep: keepUint32 },
  int32: { bytes: 4, kept: "int32", keep: (raw) => new Int32Array(raw) },
  uint64: { bytes: 8, kept: "int32", keep: (raw) => keepLong(raw, false) },
  int64: { bytes: 8, kept: "int32", keep: (raw) => keepLong(raw, true) },
  float16: { bytes: 2, kept: "float32", keep: keepHalf },
  bfloat16: { bytes: 2, kept: "float32", keep: keepBrain },
  float32: { bytes: 4, kept: "float32", keep: (raw) => new Float32Array(raw) },
  float64: { bytes: 8, kept: "float64", keep: (raw) => new Float64Array(raw) },
} as const satisfies Record<Dtype, ElementType>;

/** Bytes of an element in a file. */
export function fileBytes(dtype: Dtype): number {
  return types[dtype].bytes;
}

/** Bytes of an element that is kept. */
export function keptBytes(dtype: Dtype): number {
  return arrays[types[dtype].kept].BYTES_PER_ELEMENT;
}

/** The kept elements in these bytes. */
export function keptValues(dtype: Dtype, bytes: ArrayBuffer): TensorValues {
  return new arrays[types[dtype].kept](bytes);
}

export function isInteger(dtype: Dtype): boolean {
  const { kept } = types[dtype];
  return kept !== "float32" && kept !== "float64";
}

/** An array as its file holds it. */
export interface RawArray {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly isBigEndian: boolean;
  /** Whether the first index moves fastest. */
  readonly isColumnMajor: boolean;
  readonly bytes: ArrayBuffer;
}

/**
 * The elements in row-major order, as they are kept. Works on the bytes in place.
 * @throws InvalidDataset that names the first element which cannot be kept
 */
export function keptOf(
  { name, dtype, shape, isBigEndian, isColumnMajor, bytes }: RawArray,
  remedy = "replace it, or leave its row out",
): TensorValues {
  const type: ElementType = types[dtype];
  if (isBigEndian) swapBytes(bytes, type.bytes);
  const kept = type.keep(isColumnMajor ? rowMajor(bytes, type.bytes, shape) : bytes);
  if ("index" in kept)
    throw new InvalidDataset(
      `The array ${JSON.stringify(name)} holds ${kept.value} at ${place(kept.index, shape)}. Whole numbers must be from ${-(2 ** 31)} to ${2 ** 31 - 1}.`,
      null,
    );
  const wrong = firstNotFinite(kept);
  if (wrong === null) return kept;
  throw new InvalidDataset(
    `The array ${JSON.stringify(name)} holds ${kept[wrong]} at ${place(wrong, shape)}. All numbers must be finite: ${remedy}.`,
    null,
  );
}

function swapBytes(bytes: ArrayBuffer, length: ElementType["bytes"]): void {
  const buffer = Buffer.from(bytes);
  if (length === 2) buffer.swap16();
  if (length === 4) buffer.swap32();
  if (length === 8) buffer.swap64();
}

/** Elements are moved as whole numbers, because some processors change the bits of a NaN. */
function rowMajor(bytes: ArrayBuffer, length: ElementType["bytes"], shape: readonly number[]): ArrayBuffer {
  const Words = { 1: Uint8Array, 2: Uint16Array, 4: Int32Array, 8: Int32Array }[length];
  const words = length === 8 ? 2 : 1;
  const from = new Words(bytes);
  const to = new Words(from.length);
  const strides = shape.map((_, dimension) => words * shape.slice(0, dimension).reduce((a, b) => a * b, 1));
  const at = shape.map(() => 0);
  let source = 0;
  for (let i = 0; i < to.length; i += words) {
    to[i] = from[source];
    if (words === 2) to[i + 1] = from[source + 1];
    for (let dimension = shape.length - 1; dimension >= 0; dimension--) {
      source += strides[dimension];
      if (++at[dimension] < shape[dimension]) break;
      source -= strides[dimension] * shape[dimension];
      at[dimension] = 0;
    }
  }
  return to.buffer as ArrayBuffer;
}

function keepUint32(raw: ArrayBuffer): TensorValues | Beyond {
  const index = new Int32Array(raw).findIndex((value) => value < 0);
  return index < 0 ? new Int32Array(raw) : { index, value: BigInt(new Uint32Array(raw)[index]) };
}

/** The lower half is the number if the upper half only repeats its sign. */
function keepLong(raw: ArrayBuffer, isSigned: boolean): TensorValues | Beyond {
  const halves = new Int32Array(raw);
  const kept = new Int32Array(halves.length / 2);
  for (let index = 0; index < kept.length; index++) {
    const [low, high] = [halves[2 * index], halves[2 * index + 1]];
    if (high !== low >> 31 || (high < 0 && !isSigned))
      return { index, value: isSigned ? new BigInt64Array(raw)[index] : new BigUint64Array(raw)[index] };
    kept[index] = low;
  }
  return kept;
}

/* Loops, because `from` with a function takes several times as long, and as much memory again. */

function keepHalf(raw: ArrayBuffer): TensorValues {
  const numbers = Float32Array.from({ length: 2 ** 16 }, (_, bits) => halfOf(bits));
  const halves = new Uint16Array(raw);
  const kept = new Float32Array(halves.length);
  for (let i = 0; i < kept.length; i++) kept[i] = numbers[halves[i]];
  return kept;
}

/** IEEE 754 half precision: one bit for the sign, five for the exponent, ten for the fraction. */
export function halfOf(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** The upper half of a float32. */
function keepBrain(raw: ArrayBuffer): TensorValues {
  const halves = new Uint16Array(raw);
  const kept = new Uint32Array(halves.length);
  for (let i = 0; i < kept.length; i++) kept[i] = halves[i] << 16;
  return new Float32Array(kept.buffer);
}

function firstNotFinite(values: TensorValues): number | null {
  if (!(values instanceof Float32Array || values instanceof Float64Array)) return null;
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return null;
}

/** The indices of an element, as NumPy writes them. */
export function place(index: number, shape: readonly number[]): string {
  const indices: number[] = [];
  for (const length of shape.toReversed()) {
    indices.unshift(index % length);
    index = Math.floor(index / length);
  }
  return `[${indices.join(", ")}]`;
}
