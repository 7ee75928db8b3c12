/**
 * Unpacks bytes as they arrive: those of a request with a Content-Encoding, and those of files that
 * were packed with gzip.
 */
import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline, Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { DatasetTooLarge, InvalidDataset } from "../dataset.ts";

const CHUNK_BYTES = 2 ** 18;

const unpackers = { gzip: createGunzip, deflate: createInflate, br: createBrotliDecompress };
export type Packing = keyof typeof unpackers;
export const packings = Object.keys(unpackers) as Packing[];

/**
 * Stops reading the source when the reader of the result stops.
 * @throws InvalidDataset if the bytes are damaged, or whatever the source throws
 */
export async function* unpack(packed: AsyncIterable<Buffer>, packing: Packing): AsyncGenerator<Buffer> {
  const unpacker: Transform = unpackers[packing]({ chunkSize: CHUNK_BYTES });
  pipeline(Readable.from(packed), unpacker, () => undefined);
  try {
    for await (const chunk of unpacker as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    throw isDamage(error as NodeJS.ErrnoException) ? damaged(packing, error as Error) : error;
  }
}

/** The error codes of zlib and of brotli. */
function isDamage({ code }: NodeJS.ErrnoException): boolean {
  return code !== undefined && /^(Z_|ERR__|ERR_BROTLI)/.test(code);
}

function damaged(packing: Packing, { message }: Error): InvalidDataset {
  return new InvalidDataset(
    `The bytes cannot be unpacked: they are damaged or cut off (${packing}: ${message}).`,
    null,
  );
}

/** The bytes of a table's file. A file that is packed with gzip is unpacked. */
export async function* tableBytes(path: string): AsyncGenerator<Buffer> {
  const stored = createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>;
  yield* (await isGzipFile(path)) ? unpack(stored, "gzip") : stored;
}

/**
 * The same for a reader that is done with each chunk when it asks for the next one: all chunks are
 * in one buffer.
 */
export async function* passingBytes(path: string): AsyncGenerator<Buffer> {
  if (await isGzipFile(path)) yield* tableBytes(path);
  else yield* storedBytes(path);
}

/**
 * The bytes of a file as they are, in one buffer. It waits for the disk, as only a helper thread
 * may: a promise for each chunk would take longer than the chunk.
 */
export function* storedBytes(path: string): Generator<Buffer> {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    for (;;) {
      const bytes = readSync(file, buffer, 0, buffer.length, null);
      if (bytes === 0) return;
      yield buffer.subarray(0, bytes);
    }
  } finally {
    closeSync(file);
  }
}

export async function isGzipFile(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    return isGzip((await file.read(Buffer.alloc(2), 0, 2, 0)).buffer);
  } finally {
    await file.close();
  }
}

/** Whether bytes that begin so are packed with gzip. */
export function isGzip(start: Uint8Array): boolean {
  return start[0] === 0x1f && start[1] === 0x8b;
}

/**
 * Passes the chunks on, as long as they are not too many. `arrived` gets the number of bytes so
 * far.
 * @throws DatasetTooLarge, and what `arrived` throws
 */
export async function* atMost(
  chunks: AsyncIterable<Buffer>,
  limitBytes: number,
  arrived?: (bytes: number) => Promise<void>,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new DatasetTooLarge(limitBytes);
    await arrived?.(bytes);
    yield chunk;
  }
}
