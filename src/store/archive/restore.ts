/**
 * Makes the records of archived jobs from the segments alone, for a Redis that has lost them. Jobs
 * that have a tombstone stay deleted. If a job has several entries, because it was copied or moved
 * twice, the newest counts.
 */
import type { Database } from "../database.ts";
import { keys } from "../keys.ts";
import type { ArchivedJob, Tombstones } from "./archive.ts";
import type { ArchiveDirectory } from "./directory.ts";
import { placeText } from "./entry.ts";
import { ALONE, shortened } from "./kept.ts";
import { scan, type Found } from "./segment.ts";

/**
 * Returns how many records it wrote. From then on the segments are this store's, whatever store
 * they were written for: compaction frees what is deleted.
 */
export async function restoreRecords(database: Database, directory: ArchiveDirectory): Promise<number> {
  const all = await directory.segments();
  // The newest first. Names begin with the time.
  const names = all.flatMap(({ name, quarantined }) => (quarantined ? [] : [name])).reverse();
  const deleted = new Set<string>();
  await eachEntry(directory, names, ({ head }) => {
    const about = head.about as ArchivedJob | Tombstones;
    if ("deleted" in about) for (const [owner, id] of about.deleted) deleted.add(keys.job(owner, id));
  });
  let written = 0;
  for (const name of names) {
    // A segment may have a job twice. The later entry counts.
    const records = new Map<string, (string | Buffer)[]>();
    await eachEntry(directory, [name], ({ head, place }) => {
      const about = head.about as ArchivedJob | Tombstones;
      if ("deleted" in about || deleted.has(keys.job(about.owner, about.id))) return;
      const { status, finished_at, ...record } = about.record;
      const { kept, packed } = shortened(about.record);
      const alone = Object.entries(record).filter(([field]) => ALONE.has(field));
      const given = [placeText(place), status, finished_at, kept, packed, ...alone.flat()];
      records.set(keys.job(about.owner, about.id), given);
    });
    for (const [job, given] of records) written += await database.run<number>("restore_entry", job, ...given);
  }
  const newest: Record<string, string> = {};
  for (const name of all.map((file) => file.name).sort()) {
    const epoch = await directory.epoch(name);
    if (epoch !== null) newest[epoch] = name;
  }
  if (Object.keys(newest).length > 0) await database.use((redis) => redis.hset(keys.earlierEpochs, newest));
  return written;
}

type Entry = Extract<Found, { head: unknown }>;

async function eachEntry(
  directory: ArchiveDirectory,
  names: readonly string[],
  visit: (entry: Entry) => void,
): Promise<void> {
  for (const name of names) {
    await directory.read(name, async (read) => {
      for await (const found of scan(name, read)) if ("head" in found) visit(found);
    });
  }
}
