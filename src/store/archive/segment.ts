/**
 * A segment is a file of entries (entry.ts). One process writes it, from its beginning to its end,
 * and nobody writes to it again: a process that starts begins a new segment. So an entry never
 * moves, and what a crash left at the end of a segment does no harm.
 *
 *     8 bytes   the mark "RAPSEGM1"
 *     36        the epoch of the store whose jobs it holds (src/store-epoch.ts)
 *     …         entries
 *
 * Entries count as written once they have been synced to disk and read back. If that fails, the
 * segment is cut off before them, and gets no more.
 */
import { createHash } from "node:crypto";
import { open, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { decodeTime, ulid } from "ulid";
import { crashPoint } from "../../crash-point.ts";
import { syncDirectory } from "../../sync-directory.ts";
import {
  headIn,
  lengthsIn,
  MARK,
  PREFIX_BYTES,
  startOf,
  type Head,
  type Part,
  type Place,
  type StoredPart,
} from "./entry.ts";

const SEGMENT_MARK = "RAPSEGM1";
const EPOCH_BYTES = 36;
export const HEADER_BYTES = SEGMENT_MARK.length + EPOCH_BYTES;

const NAME = /^[0-7][0-9a-hjkmnp-tv-z]{25}\.segment$/;
/** The length of a ULID. */
const ULID = 26;

/** How much is read or written at a time. */
const SLICE_BYTES = 4 * 2 ** 20;

export function isSegment(name: string): boolean {
  return NAME.test(name);
}

export interface NewEntry {
  readonly about: unknown;
  readonly parts: readonly Part[];
}

/** Bytes that are not those that were written. */
export class DamagedEntry extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DamagedEntry";
  }
}

/** Reads bytes of a segment. At its end it returns fewer than were asked for. */
export type Read = (offset: number, bytes: number) => Promise<Buffer>;

export class SegmentWriter {
  readonly name: string;
  readonly #path: string;
  readonly #file: FileHandle;
  #bytes = HEADER_BYTES;

  private constructor(path: string, file: FileHandle) {
    this.name = basename(path);
    this.#path = path;
    this.#file = file;
  }

  /** @param newest the name of the newest segment; null if there is none */
  static async create(directory: string, epoch: string, newest: string | null): Promise<SegmentWriter> {
    // Names are in the order of the segments even if the clock was set back.
    const after = newest === null ? 0 : decodeTime(newest.slice(0, ULID).toUpperCase()) + 1;
    const path = join(directory, `${ulid(Math.max(Date.now(), after)).toLowerCase()}.segment`);
    const file = await open(path, "wx+");
    try {
      await file.write(SEGMENT_MARK + epoch.padEnd(EPOCH_BYTES).slice(0, EPOCH_BYTES), 0);
      await file.sync();
      await syncDirectory(dirname(path));
      return new SegmentWriter(path, file);
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Writes entries durably. After an error the segment holds none of them, and must not be used any
   * more.
   */
  async append(entries: readonly NewEntry[]): Promise<Place[]> {
    const before = this.#bytes;
    try {
      const places: Place[] = [];
      const written = createHash("sha256");
      for await (const slice of sliced(this.#laidOut(entries, places))) {
        await writeAll(this.#file, slice, this.#bytes);
        written.update(slice);
        this.#bytes += slice.byteLength;
      }
      crashPoint("archive-written");
      await this.#file.datasync();
      crashPoint("archive-synced");
      const all = { offset: before, bytes: this.#bytes - before, sha256: written.digest("hex") };
      for await (const _ of readPart(readOf(this.#file), all));
      crashPoint("archive-verified");
      return places;
    } catch (error) {
      await this.#giveUp(before);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Cuts the segment off, or removes it if nothing is left of it. */
  async #giveUp(bytes: number): Promise<void> {
    if (bytes > HEADER_BYTES) await this.#file.truncate(bytes).catch(() => undefined);
    await this.close();
    if (bytes === HEADER_BYTES) await rm(this.#path, { force: true });
  }

  /** The bytes of the entries, one after the other. Adds their places. */
  async *#laidOut(entries: readonly NewEntry[], places: Place[]): AsyncGenerator<Buffer> {
    let offset = this.#bytes;
    for (const { about, parts } of entries) {
      const { text, headBytes, bytes, sha256 } = startOf(about, parts);
      places.push({ segment: this.name, offset, headBytes, bytes, sha256 });
      offset += bytes;
      yield text;
      for (const part of parts) yield* exactly(part);
    }
  }
}

/** The content of a part. @throws DamagedEntry if it has another length than was said */
async function* exactly({ name, bytes, content }: Part): AsyncGenerator<Buffer> {
  let sent = 0;
  for await (const chunk of content) {
    sent += chunk.byteLength;
    yield chunk;
  }
  if (sent !== bytes) throw new DamagedEntry(`The part ${name} has ${sent} bytes, not ${bytes}.`);
}

/** Joins small chunks, so that many small entries are one write. */
async function* sliced(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    waiting.push(chunk);
    bytes += chunk.byteLength;
    if (bytes < SLICE_BYTES) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(waiting);
}

/** A disk that becomes full writes the beginning of a buffer, and says so without an error. */
async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, at + done);
    done += bytesWritten;
  }
}

export function readOf(file: FileHandle): Read {
  return async (offset, bytes) => {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    let done = 0;
    while (done < bytes) {
      const { bytesRead } = await file.read(buffer, done, bytes - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return buffer.subarray(0, done);
  };
}

/** @throws DamagedEntry */
export async function readHead(read: Read, { offset, headBytes, sha256 }: Place): Promise<Head> {
  const head = headIn(await read(offset, PREFIX_BYTES + headBytes), offset);
  if (head?.sha256 !== sha256) throw new DamagedEntry("The head of an entry is not the one that was written.");
  return head;
}

/** The bytes of a part, in order. @throws DamagedEntry, at the latest after the last bytes */
export async function* readPart(read: Read, { offset, bytes, sha256 }: StoredPart): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  for (let done = 0; done < bytes;) {
    const slice = await read(offset + done, Math.min(SLICE_BYTES, bytes - done));
    if (slice.byteLength === 0) break;
    hash.update(slice);
    done += slice.byteLength;
    yield slice;
  }
  if (hash.digest("hex") !== sha256) throw new DamagedEntry("A part of an entry is not the one that was written.");
}

/** @throws DamagedEntry */
export async function checkEntry(read: Read, place: Place): Promise<void> {
  const { parts } = await readHead(read, place);
  for (const part of parts.values()) {
    for await (const _ of readPart(read, part));
  }
}

/** The epoch of the store that the segment belongs to; null if this is no segment. */
export async function epochOf(read: Read): Promise<string | null> {
  const header = (await read(0, HEADER_BYTES)).toString("latin1");
  return header.length === HEADER_BYTES && header.startsWith(SEGMENT_MARK)
    ? header.slice(SEGMENT_MARK.length).trimEnd()
    : null;
}

/** An entry that a scan found, or bytes between entries that are none. */
export type Found = { readonly place: Place; readonly head: Head } | { readonly damagedBytes: number };

/**
 * Looks for the entries of a segment from its beginning to its end, without anything else that
 * refers to them. Parts are not read. After bytes that are no entry it goes on at the next mark, so
 * that one damaged head hides no other entry.
 */
export async function* scan(segment: string, read: Read): AsyncGenerator<Found> {
  let offset = HEADER_BYTES;
  for (;;) {
    const found = await entryAt(segment, read, offset);
    if (found === "end") return;
    if (found !== null) {
      yield found;
      offset += found.place.bytes;
      continue;
    }
    const next = await nextMark(read, offset + 1);
    yield { damagedBytes: next.offset - offset };
    if (!next.found) return;
    offset = next.offset;
  }
}

/** Null: what is there is no entry. */
async function entryAt(segment: string, read: Read, offset: number) {
  const prefix = await read(offset, PREFIX_BYTES);
  if (prefix.byteLength === 0) return "end";
  const lengths = lengthsIn(prefix);
  if (lengths === null) return null;
  const { headBytes, bytes } = lengths;
  const head = headIn(await read(offset, PREFIX_BYTES + headBytes), offset);
  if (head === null) return null;
  // The end of an entry may be missing after a crash.
  if ((await read(offset + bytes - 1, 1)).byteLength === 0) return null;
  return { place: { segment, offset, headBytes, bytes, sha256: head.sha256 }, head };
}

async function nextMark(read: Read, from: number): Promise<{ offset: number; found: boolean }> {
  for (let offset = from; ;) {
    const slice = await read(offset, SLICE_BYTES);
    const at = slice.indexOf(MARK);
    if (at !== -1) return { offset: offset + at, found: true };
    if (slice.byteLength < SLICE_BYTES) return { offset: offset + slice.byteLength, found: false };
    // A mark may lie across two slices.
    offset += SLICE_BYTES - MARK.byteLength + 1;
  }
}
