/**
 * Large values are cut into chunks, because Redis serves nobody else while it receives or sends a
 * value. What is read is checked against the hash that was taken when it was written. A chunk is
 * hashed when it arrives. That takes 3 ms on the event loop (65 ms for 100 MB) while the next chunk
 * is on its way.
 */
import { createHash } from "node:crypto";
import { crashPoint } from "../crash-point.ts";
import { meters } from "../meters.ts";
import type { Database } from "./database.ts";
import { Damaged, type StoredKind } from "./errors.ts";
import { keys } from "./keys.ts";
import { CHUNK_BYTES } from "./room-numbers.ts";

const IN_FLIGHT = 2;

/** A blob's name and size, as records refer to it. */
export interface Blob {
  blob: string;
  bytes: number;
  /** The bytes, if they are not uploaded but go with the script that commits them. */
  carried?: Buffer;
}

/** The largest blob that goes with the script that commits it. */
export const CARRIED_BYTES = 64 * 1024;

/**
 * Gives the chunks of `bytes` to `put`, at most two at once. After a chunk that fails it gives no
 * more.
 */
export async function eachChunk(bytes: Uint8Array, put: (number: number, chunk: Buffer) => Promise<unknown>) {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = Math.ceil(bytes.byteLength / CHUNK_BYTES);
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const number = next++;
      await put(number, whole.subarray(number * CHUNK_BYTES, (number + 1) * CHUNK_BYTES));
      crashPoint("mid-chunk");
    }
  };
  const stopOthers = () => (next = count);
  // It fails only after both lanes have ended, so that no chunk arrives after the caller has
  // cleaned up.
  const lanes = Array.from({ length: IN_FLIGHT }, () => lane().finally(stopOthers));
  for (const ended of await Promise.allSettled(lanes)) if (ended.status === "rejected") throw ended.reason;
}

/** A blob as its record describes it. */
export interface StoredBlob extends Blob {
  sha256: string;
}

/** A blob that can be read. */
export interface Source {
  database: Database;
  /** The key of the record that the blob belongs to. */
  job: string;
  kind: StoredKind;
}

/** @throws Damaged */
export async function readBlob(source: Source, blob: StoredBlob): Promise<Buffer> {
  const whole = Buffer.allocUnsafeSlow(blob.bytes);
  let offset = 0;
  for await (const chunk of chunksOf(source, blob)) {
    chunk.copy(whole, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/**
 * The beginning of a blob. The whole blob is read, to check that it is undamaged.
 * @throws Damaged
 */
export async function readHead(source: Source, blob: StoredBlob, headBytes: number): Promise<Buffer> {
  let head: Buffer | null = null;
  for await (const chunk of chunksOf(source, blob)) head ??= Buffer.from(chunk.subarray(0, headBytes));
  return head ?? Buffer.alloc(0);
}

/** The chunks of a blob. @throws Damaged, at the latest after the last one */
export async function* chunksOf(
  { database, job, kind }: Source,
  { blob, bytes, sha256 }: StoredBlob,
): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  const damaged = () => {
    meters.damage.inc({ what: kind });
    return new Damaged(kind);
  };
  for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
    const key = keys.chunk(job, blob, offset / CHUNK_BYTES);
    const chunk = await database.use((redis) => redis.getBuffer(key));
    if (chunk?.byteLength !== Math.min(CHUNK_BYTES, bytes - offset)) throw damaged();
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest("hex") !== sha256) throw damaged();
}
