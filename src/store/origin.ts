/** What a job begins with, as a blob of its own. It stays only if the job is created. */
import { eachChunk } from "./blobs.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import type { Fork, NewJob } from "./new-job.ts";
import { CHUNK_BYTES } from "./room-numbers.ts";

type Owned = Pick<NewJob, "owner" | "id">;

export async function putOrigin(database: Database, { owner, id }: Owned, bytes: Uint8Array): Promise<void> {
  await eachChunk(bytes, (number, chunk) =>
    database.run("put_origin", keys.job(owner, id), bytes.byteLength, number, chunk),
  );
}

/** Copies the parent's checkpoint. Returns false if it is gone. */
export async function copyOrigin(
  database: Database,
  { owner, id }: Owned,
  { parent, blob, origin }: Fork,
): Promise<boolean> {
  for (let number = 0; number < Math.ceil(origin.bytes / CHUNK_BYTES); number++) {
    const from = [parent.job_id, blob, origin.bytes, number];
    const outcome = await database.run<"copied" | "missing">("copy", keys.job(owner, id), ...from);
    if (outcome === "missing") return false;
  }
  return true;
}
