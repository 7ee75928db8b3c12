/** Large values: cut into chunks, since Redis serves nobody else while it takes or gives a value. */
import { crashPoint } from "../crash.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import { CHUNK_BYTES } from "./room.ts";

const IN_FLIGHT = 2;

/** A blob's name and size, as records refer to it. */
export interface Blob {
  blob: string;
  bytes: number;
}

/** Gives the chunks of `bytes` to `put`, at most two at once; after one that fails no other is given. */
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
  // It fails once both lanes have ended: nothing comes after what is done about it.
  const lanes = Array.from({ length: IN_FLIGHT }, () => lane().finally(stopOthers));
  for (const ended of await Promise.allSettled(lanes)) if (ended.status === "rejected") throw ended.reason;
}

/** The bytes of a blob, or null if any of them is gone. */
export async function readBlob(database: Database, job: string, { blob, bytes }: Blob): Promise<Buffer | null> {
  const whole = Buffer.alloc(bytes);
  for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
    const key = keys.chunk(job, blob, offset / CHUNK_BYTES);
    const chunk = await database.use((redis) => redis.getBuffer(key));
    if (chunk?.byteLength !== Math.min(CHUNK_BYTES, bytes - offset)) return null;
    chunk.copy(whole, offset);
  }
  return whole;
}
