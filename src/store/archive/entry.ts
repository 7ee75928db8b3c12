/**
 * An entry of a segment (segment.ts): what is known of something (`about`, any JSON) and named
 * parts, which are bytes. The head of the entry is JSON, and lists the parts:
 *
 *     8 bytes   the mark "RAPENTRY"
 *     4         length of the head
 *     8         length of all parts together
 *     32        SHA-256 of the two lengths and the head
 *     …         the head: {"about":…,"parts":[[name, bytes, SHA-256], …]}
 *     …         the parts, one after the other
 *
 * So the head can be checked alone, and each part by what the head says. Whoever refers to an entry
 * keeps the SHA-256 of its head (Place), so that no other entry passes for it.
 */
import { createHash } from "node:crypto";

export const MARK = Buffer.from("RAPENTRY");
const LENGTHS_AT = MARK.byteLength;
const LENGTHS_BYTES = 12;
const HASH_AT = LENGTHS_AT + LENGTHS_BYTES;
/** What comes before the head. */
export const PREFIX_BYTES = HASH_AT + 32;

/** More than any job's record: specs have at most 2 MiB, encoders and notes a few more. */
export const MAX_HEAD_BYTES = 256 * 2 ** 20;

/** A part as it is written. Its hash is known before its bytes are read. */
export interface Part {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly content: Iterable<Buffer> | AsyncIterable<Buffer>;
}

/** Where an entry is, and what it is. */
export interface Place {
  readonly segment: string;
  readonly offset: number;
  readonly headBytes: number;
  /** Of the whole entry. */
  readonly bytes: number;
  /** Of the lengths and the head. */
  readonly sha256: string;
}

/** A part of an entry that is there: where it begins in its segment. */
export interface StoredPart {
  readonly offset: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Head {
  readonly about: unknown;
  readonly parts: ReadonlyMap<string, StoredPart>;
}

/** The first bytes of an entry, up to its parts. */
export interface Start {
  readonly text: Buffer;
  readonly headBytes: number;
  /** Of the whole entry. */
  readonly bytes: number;
  readonly sha256: string;
}

export function startOf(about: unknown, parts: readonly Omit<Part, "content">[]): Start {
  const head = Buffer.from(
    JSON.stringify({ about, parts: parts.map(({ name, bytes, sha256 }) => [name, bytes, sha256]) }),
  );
  const partBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const lengths = Buffer.alloc(LENGTHS_BYTES);
  lengths.writeUInt32LE(head.byteLength, 0);
  lengths.writeBigUInt64LE(BigInt(partBytes), 4);
  const hash = createHash("sha256").update(lengths).update(head).digest();
  const text = Buffer.concat([MARK, lengths, hash, head]);
  const bytes = text.byteLength + partBytes;
  return { text, headBytes: head.byteLength, bytes, sha256: hash.toString("hex") };
}

/** The lengths of an entry, as its prefix claims; null if these bytes are no prefix. */
export function lengthsIn(prefix: Buffer): { headBytes: number; bytes: number } | null {
  if (prefix.byteLength < PREFIX_BYTES || !prefix.subarray(0, LENGTHS_AT).equals(MARK)) return null;
  const headBytes = prefix.readUInt32LE(LENGTHS_AT);
  const partBytes = Number(prefix.readBigUInt64LE(LENGTHS_AT + 4));
  if (headBytes > MAX_HEAD_BYTES || !Number.isSafeInteger(partBytes)) return null;
  return { headBytes, bytes: PREFIX_BYTES + headBytes + partBytes };
}

/** The head of an entry that begins at `offset`; null if these bytes are damaged. */
export function headIn(start: Buffer, offset: number): (Head & { sha256: string }) | null {
  const lengths = lengthsIn(start);
  if (lengths === null || start.byteLength !== PREFIX_BYTES + lengths.headBytes) return null;
  const text = start.subarray(PREFIX_BYTES);
  const hash = createHash("sha256").update(start.subarray(LENGTHS_AT, HASH_AT)).update(text).digest();
  if (!hash.equals(start.subarray(HASH_AT, PREFIX_BYTES))) return null;
  const { about, parts } = JSON.parse(text.toString()) as { about: unknown; parts: [string, number, string][] };
  const places = new Map<string, StoredPart>();
  let at = offset + start.byteLength;
  for (const [name, bytes, sha256] of parts) {
    places.set(name, { offset: at, bytes, sha256 });
    at += bytes;
  }
  return { about, parts: places, sha256: hash.toString("hex") };
}

/** A place as Redis holds it. */
export function placeText({ segment, offset, headBytes, bytes, sha256 }: Place): string {
  return `${segment} ${offset} ${headBytes} ${bytes} ${sha256}`;
}

export function placeIn(text: string): Place {
  const [segment, offset, headBytes, bytes, sha256] = text.split(" ");
  return { segment, offset: Number(offset), headBytes: Number(headBytes), bytes: Number(bytes), sha256 };
}
