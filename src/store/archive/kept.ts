/**
 * The record of an archived job. Redis keeps what lists and scripts need:
 *
 * - `status`, `name`, `metadata` and `webhook` as fields of their own
 * - in `kept` what scripts read besides: name, NUL, value, NUL, …
 * - in `packed` the other fields of lists in the same form, compressed: metrics are in it twice
 *
 * This takes a third of the room that single fields would take. Everything else of the record is in
 * the archive (archive.ts), where the field `archived` says.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Database } from "../database.ts";
import { OutOfReach } from "../errors.ts";
import { keys } from "../keys.ts";
import { named, summaryFields, type Fields } from "../record.ts";
import type { Archive } from "./archive.ts";

type Texts = Readonly<Record<string, string>>;

/** Fields that stay by themselves. */
export const ALONE: ReadonlySet<string> = new Set(["status", "name", "metadata", "webhook"]);
/** Fields that scripts read. */
const KEPT: ReadonlySet<string> = new Set(["run", "token", "finished_at", "idempotency"]);
const PACKED: ReadonlySet<string> = new Set(summaryFields);
/** Whether a message to the webhook was given up. */
const GIVEN_UP = "undelivered:";

const MORE = ["kept", "packed", "archived"] as const;

function isKept(field: string): boolean {
  return KEPT.has(field) || field.startsWith(GIVEN_UP);
}

function isPacked(field: string): boolean {
  return PACKED.has(field) && !ALONE.has(field) && !isKept(field);
}

/** The fields `kept` and `packed` of this record. */
export function shortened(record: Texts): { kept: string; packed: Buffer } {
  return { kept: textOf(record, isKept), packed: deflateRawSync(textOf(record, isPacked)) };
}

function textOf(record: Texts, isWanted: (field: string) => boolean): string {
  const wanted = Object.entries(record).filter(([field]) => isWanted(field));
  return wanted.map(([field, value]) => `${field}\0${value}\0`).join("");
}

function fieldsIn(text: string): Record<string, string> {
  const words = text.split("\0");
  return Object.fromEntries(
    Array.from({ length: Math.floor(words.length / 2) }, (_, i) => [words[2 * i], words[2 * i + 1]]),
  );
}

/**
 * Whether a record with this status, or none, is no job. While records are written again, a job
 * without one may come back.
 * @throws OutOfReach
 */
export async function isNoJob(database: Database, status: string | null): Promise<boolean> {
  if (status !== null) return false;
  if ((await database.use((redis) => redis.hexists(keys.archive, "restoring"))) === 0) return true;
  throw new OutOfReach("the records of its jobs are being written again");
}

/** The fields of a job's record. What Redis does not have of them is read from the archive. */
export async function readRecord<F extends string>(
  database: Database,
  archive: Archive,
  job: string,
  fields: readonly (F | "status")[],
): Promise<Fields<F | "status"> | null> {
  const values = await database.use((redis) => redis.hmgetBuffer(job, ...fields, ...MORE));
  const [kept, packed, archived] = values.slice(fields.length);
  const found = named(
    [...fields],
    values.slice(0, fields.length).map((value) => (value === null ? null : String(value))),
  );
  if (await isNoJob(database, found.status)) return null;
  if (archived === null) return found;
  const isElsewhere = (field: string) => !ALONE.has(field) && !isKept(field) && !isPacked(field);
  const elsewhere = fields.some(isElsewhere) ? (await archive.job(String(archived))).record : {};
  const short = { ...fieldsIn(String(kept)), ...fieldsIn(String(inflateRawSync(packed!))) };
  const valueOf = (field: string) => (isElsewhere(field) ? elsewhere[field] : short[field]) ?? null;
  return named(
    [...fields],
    fields.map((field) => found[field] ?? (ALONE.has(field) ? null : valueOf(field))),
  );
}
