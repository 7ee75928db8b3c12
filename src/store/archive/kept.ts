/**
 * The record of an archived job. Redis keeps what lists and scripts need: `status`, `name`,
 * `metadata` and `webhook` as fields of their own, and the fields of KEPT in the one field `kept`
 * (name, NUL, value, NUL, …), which takes a third of the room. Everything else of the record is in
 * the archive (archive.ts), where the field `archived` says.
 */
import type { Database } from "../database.ts";
import { named, summaryFields, type Fields } from "../record.ts";
import type { Archive } from "./archive.ts";

const ALONE: ReadonlySet<string> = new Set(["status", "name", "metadata", "webhook"]);
const KEPT: ReadonlySet<string> = new Set([...summaryFields, "token", "idempotency"]);
/** Whether a message to the webhook was given up. */
const GIVEN_UP = "undelivered:";

const MORE = ["kept", "archived"] as const;

function isKept(field: string): boolean {
  return (KEPT.has(field) && !ALONE.has(field)) || field.startsWith(GIVEN_UP);
}

/** The field `kept` of this record. */
export function keptText(record: Readonly<Record<string, string>>): string {
  const kept = Object.entries(record).filter(([field]) => isKept(field));
  return kept.map(([field, value]) => `${field}\0${value}\0`).join("");
}

function keptIn(text: string): Record<string, string> {
  const words = text.split("\0");
  return Object.fromEntries(
    Array.from({ length: Math.floor(words.length / 2) }, (_, i) => [words[2 * i], words[2 * i + 1]]),
  );
}

/** The fields of a job's record. What Redis does not have of them is read from the archive. */
export async function readRecord<F extends string>(
  database: Database,
  archive: Archive,
  job: string,
  fields: readonly (F | "status")[],
): Promise<Fields<F | "status"> | null> {
  const values = await database.use((redis) => redis.hmget(job, ...fields, ...MORE));
  const found = named([...fields, ...MORE], values);
  if (found.status === null) return null;
  if (found.archived === null) return found;
  const elsewhere = fields.some((field) => !ALONE.has(field) && !isKept(field));
  const archived = elsewhere ? (await archive.job(found.archived)).record : {};
  const all: Record<string, string> = { ...archived, ...keptIn(found.kept!) };
  return named(
    [...fields],
    fields.map((field) => found[field] ?? (ALONE.has(field) ? null : (all[field] ?? null))),
  );
}
