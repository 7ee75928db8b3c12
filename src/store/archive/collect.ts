/** Reads all of an ended job that goes into the archive: one script, and more if it is long. */
import { hash } from "node:crypto";
import { CARRIED_BYTES, chunksOf } from "../blobs.ts";
import type { Database } from "../database.ts";
import { Damaged } from "../errors.ts";
import { contentOf, type ArchivedJob } from "./archive.ts";
import type { Part } from "./entry.ts";
import { shortened } from "./kept.ts";
import type { NewEntry } from "./segment.ts";

/** How many elements of a long list are read at a time. */
const PAGE = { events: 500, rows: 8, metrics: 500 } as const;
type List = keyof typeof PAGE;

/** What was read of a job. */
export interface Collected {
  /** The key of its record. */
  readonly job: string;
  readonly entry: NewEntry;
  /** Whether files are read only when the entry is written. */
  readonly large: boolean;
  /** What archive_job.lua needs to know. */
  readonly arguments: (string | number | Buffer)[];
}

type Flat = Buffer[];
type Answer = [
  record: Flat,
  checkpoints: (Buffer | Flat)[],
  models: (Buffer | Flat)[],
  chunks: (Buffer | null)[],
  lists: (Buffer | Flat | null)[],
];

interface File {
  /** The part of its manifest's key after the job's, and its name in the entry. */
  readonly name: string;
  readonly manifest: Record<string, string>;
}

/**
 * `done`: there is nothing to archive. `later`: messages to the job's webhook are on their way.
 * @throws Damaged
 */
export async function collect(database: Database, job: string): Promise<Collected | "done" | "later"> {
  const answer = await database.runBuffer<Answer | Buffer>("read_ended", job, CARRIED_BYTES);
  if (!Array.isArray(answer)) return String(answer) as "done" | "later";
  const [record, checkpoints, models, chunks, lists] = answer;
  const [, owner, id] = /:owner:(.*?):job:(.+)$/.exec(job)!;
  const files = [...filesIn("checkpoint:", checkpoints), ...filesIn("model:", models)];
  const small = new Map(pairs(chunks).map(([key, content]) => [String(key), content as Buffer | null]));
  const parts: Part[] = [];
  for (const file of files) parts.push(filePart(database, job, file, small));
  let events = 0;
  for (const [key, read] of pairs(lists)) {
    const name = String(key) as List;
    const elements = (read as Flat | null) ?? (await longList(database, job, name));
    if (name === "events") events = elements.length;
    if (elements.length > 0) parts.push(partOf(name, contentOf(elements)));
  }
  const of = (prefix: string) =>
    Object.fromEntries(
      files.flatMap(({ name, manifest }) => (name.startsWith(prefix) ? [[name.slice(prefix.length), manifest]] : [])),
    );
  const about: ArchivedJob = {
    owner,
    id,
    record: hashOf(record),
    checkpoints: of("checkpoint:"),
    models: of("model:"),
  };
  const { kept, packed } = shortened(about.record);
  const left = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const blobs = files.flatMap(({ name, manifest }) => [`:${name}`, manifest.blob]);
  return {
    job,
    entry: { about, parts },
    large: files.some(({ manifest }) => Number(manifest.bytes) > CARRIED_BYTES),
    arguments: [kept, packed, events, left, ...blobs],
  };
}

function filesIn(prefix: string, flat: (Buffer | Flat)[]): File[] {
  return pairs(flat).map(([name, manifest]) => ({
    name: `${prefix}${String(name)}`,
    manifest: hashOf(manifest as Flat),
  }));
}

/** @throws Damaged if the bytes are not those of the manifest */
function filePart(database: Database, job: string, { name, manifest }: File, small: Map<string, Buffer | null>): Part {
  const { blob, sha256 } = manifest;
  const bytes = Number(manifest.bytes);
  const kind = name.startsWith("model:") ? "model" : "checkpoint";
  const content = small.get(`${job}:chunk:${blob}:0`);
  if (content === undefined)
    return { name, bytes, sha256, content: chunksOf({ database, job, kind }, { blob, bytes, sha256 }) };
  const part = partOf(name, content ?? Buffer.alloc(0));
  if (part.sha256 !== sha256) throw new Damaged(kind);
  return part;
}

function partOf(name: string, content: Buffer): Part {
  return { name, bytes: content.byteLength, sha256: hash("sha256", content), content: [content] };
}

async function longList(database: Database, job: string, name: List): Promise<Buffer[]> {
  const key = `${job}:${name}`;
  const elements: Buffer[] = [];
  for (;;) {
    const [from, to] = [elements.length, elements.length + PAGE[name] - 1];
    const page = await database.use((redis) =>
      name === "metrics" ? redis.zrangeBuffer(key, String(from), String(to)) : redis.lrangeBuffer(key, from, to),
    );
    for (const element of page) elements.push(element);
    if (page.length < PAGE[name]) return elements;
  }
}

function pairs<T>(flat: readonly T[]): [T, T][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

function hashOf(flat: Flat): Record<string, string> {
  return Object.fromEntries(pairs(flat).map((pair) => pair.map(String)));
}
