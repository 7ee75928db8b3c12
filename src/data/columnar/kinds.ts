/** What the columns of a columnar file become, and how its values become those of a column. */
import { halfOf } from "../tensors/elements.ts";
import { columnFault } from "./damage.ts";

/** A whole number of more than 53 bits is a `bigint`. */
export type Value = number | bigint | string;

export interface ColumnKind<Raw> {
  readonly type: "numeric" | "date" | "boolean" | "categorical";
  readonly valueOf: (raw: Raw) => Value;
}

export const number: ColumnKind<unknown> = { type: "numeric", valueOf: Number };
export const boolean: ColumnKind<unknown> = { type: "boolean", valueOf: String };
export const halves: ColumnKind<number> = { type: "numeric", valueOf: halfOf };
export const wholes: ColumnKind<bigint> = { type: "numeric", valueOf: exact };
export const days: ColumnKind<number> = { type: "date", valueOf: (raw) => raw * DAY_MS };
export const uuids: ColumnKind<Uint8Array> = { type: "categorical", valueOf: uuid };

export function decimals<Raw>(unscaled: (raw: Raw) => bigint, scale: number): ColumnKind<Raw> {
  return { type: "numeric", valueOf: (raw) => decimal(unscaled(raw), scale) };
}

export function texts(name: string): ColumnKind<Uint8Array> {
  return { type: "categorical", valueOf: (raw) => utf8(raw, name) };
}

const DAY_MS = 86_400_000;

/** How many of a unit of time are in a millisecond. */
export const PER_MS = { MILLIS: 1n, MICROS: 1000n, NANOS: 1_000_000n };

export function times(perMs: bigint): ColumnKind<bigint> {
  return { type: "date", valueOf: (raw) => milliseconds(raw, perMs) };
}

/** As exact as a double can be. */
export function milliseconds(units: bigint, perMs: bigint): number {
  return Number(units / perMs) + Number(units % perMs) / Number(perMs);
}

function exact(value: bigint): number | bigint {
  const double = Number(value);
  return Number.isSafeInteger(double) ? double : value;
}

/** The double that is nearest to the decimal number. */
function decimal(unscaled: bigint, scale: number): number | bigint {
  return scale === 0 ? exact(unscaled) : Number(`${unscaled}e${-scale}`);
}

/** Of the highest byte first. */
export function bigEndian(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex(bytes)}`));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function uuid(bytes: Uint8Array): string {
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array, name: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw columnFault(name, "holds bytes that are no UTF-8. Write it as texts, or leave it out.");
  }
}
