/**
 * A text: one column with the bytes of its characters, in UTF-8. The rows are the characters
 * (Unicode's code points), so that a share of the rows is a share of the text.
 */
import { isUtf8 } from "node:buffer";
import { InvalidDataset, MAX_CLASSES, type TextColumn } from "../dataset.ts";

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** The name of the only column. */
export const TEXT = "text";

export interface TextContent {
  readonly rows: number;
  readonly columns: [{ readonly summary: TextColumn; readonly values: Uint8Array<ArrayBuffer> }];
}

/**
 * A byte order mark at the beginning is left out.
 * @throws InvalidDataset that says where the text is no UTF-8
 */
export function readText(file: Buffer): TextContent {
  if (!isUtf8(file)) {
    const at = firstInvalid(file);
    throw new InvalidDataset(
      `The text is not UTF-8: byte ${at} (from 0) is 0x${file[at].toString(16).padStart(2, "0")}${at >= file.length - 3 ? ", near the end: is the file cut off?" : "."} Save the text as UTF-8.`,
      null,
    );
  }
  const begin = file.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  const values = Uint8Array.from(file.subarray(begin));
  if (values.length === 0) throw new InvalidDataset("The text is empty.", null);
  const { count, distinct } = charactersOf(values);
  const summary: TextColumn = {
    name: TEXT,
    type: "text",
    bytes: values.length,
    missing: 0,
    min: null,
    max: null,
    mean: null,
    classes: distinct.length > MAX_CLASSES ? null : distinct,
    all_different: false,
    reason: null,
  };
  return { rows: count, columns: [{ summary, values }] };
}

/** How many there are, and which, in ascending order. */
function charactersOf(bytes: Uint8Array): { count: number; distinct: string[] } {
  const seen = new Uint8Array(0x110000);
  let count = 0;
  eachCharacter(bytes, (point) => {
    seen[point] = 1;
    count++;
  });
  const distinct: string[] = [];
  for (let point = 0; point < seen.length; point++) if (seen[point] === 1) distinct.push(String.fromCodePoint(point));
  return { count, distinct };
}

/** Calls `take` with each character, as a code point. The bytes must be UTF-8. */
export function eachCharacter(bytes: Uint8Array, take: (point: number) => void): void {
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at];
    const length = lengthOf(first);
    let point = length === 1 ? first : first & (0x7f >> length);
    for (let i = 1; i < length; i++) point = (point << 6) | (bytes[at + i] & 0x3f);
    at += length;
    take(point);
  }
}

function lengthOf(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}

/** The first byte of the first character that is none. */
function firstInvalid(bytes: Buffer): number {
  // The longest beginning that is UTF-8 but for a last character, which may be incomplete.
  let [valid, invalid] = [0, bytes.length];
  while (invalid - valid > 4) {
    const middle = startOfCharacter(bytes, (valid + invalid) >> 1);
    if (middle > valid && isUtf8(bytes.subarray(valid, middle))) valid = middle;
    else if (middle > valid) invalid = middle;
    else break;
  }
  while (valid < bytes.length && isUtf8(bytes.subarray(valid, valid + lengthOf(bytes[valid]))))
    valid += lengthOf(bytes[valid]);
  return valid;
}

function startOfCharacter(bytes: Buffer, at: number): number {
  while (at > 0 && (bytes[at] & 0xc0) === 0x80) at--;
  return at;
}
