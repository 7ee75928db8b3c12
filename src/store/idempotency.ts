/**
 * Idempotency keys. What a key was used for is kept for a day (lua/shared/job.lua): the id of what
 * was created, and the hash of the body that asked for it.
 */
import { createHash } from "node:crypto";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";

const KEPT_MS = 24 * 60 * 60 * 1000;

/** What an idempotency key is used for. */
export interface IdempotencyUse {
  readonly key: string;
  /** SHA-256 of the body as canonical JSON. */
  readonly bodySha256: string;
  /** SHA-256 of the body as it was written, which earlier versions recorded. */
  readonly textSha256?: string;
}

/** The first arguments of the scripts that heed a key; null: there is none. */
export function useArguments(use: IdempotencyUse | null): [key: string, keptMs: number, bodySha256: string] {
  return use === null ? ["", KEPT_MS, ""] : [hashed(use.key), KEPT_MS, use.bodySha256];
}

/** What a key was used for before, and whether it was for the same body. Null: it was not used. */
export async function usedBefore(
  database: Database,
  owner: string,
  { key, bodySha256, textSha256 }: IdempotencyUse,
): Promise<{ id: string; isSame: boolean } | null> {
  const used = keys.idempotency(owner, hashed(key));
  const [id, body] = await database.use((redis) => redis.hmget(used, "job", "body_sha256"));
  return id === null ? null : { id, isSame: body === bodySha256 || body === textSha256 };
}

function hashed(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
