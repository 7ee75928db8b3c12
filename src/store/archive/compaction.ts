/**
 * Frees the room of entries to which no record points: those of deleted jobs, those that were
 * copied, and those that a process left when it died.
 *
 * A segment that is mostly such entries is compacted. Its other entries are copied to the segment
 * that is written now, and the records are pointed to the copies: the same steps as when a job is
 * moved (mover.ts). Tombstones are copied when their segment goes, as long as there are older ones.
 *
 * A segment to which no record points any more goes into quarantine, where it is still read, and a
 * day later it is removed. That is not done
 *
 * - if it was written for another store, by its epoch: after a loss of Redis these files are all
 *   that is left of the jobs, until the loss is accepted and their records are written again
 * - before it has been left alone for a day: another process may be about to point to its entries
 *
 * If a record points into the quarantine, because Redis was restored from a back-up, the segment
 * comes back.
 */
import type { Logger } from "pino";
import { crashPoint } from "../../crash-point.ts";
import type { Database } from "../database.ts";
import { OutOfReach } from "../errors.ts";
import { keys } from "../keys.ts";
import type { ArchivedJob, Tombstones } from "./archive.ts";
import type { SegmentFile } from "./directory.ts";
import { placeText, type Head, type Place } from "./entry.ts";
import type { Mover } from "./mover.ts";
import { checkEntry, DamagedEntry, HEADER_BYTES, readPart, scan, type NewEntry, type Read } from "./segment.ts";

const DAY_MS = 86_400_000;
/** A segment is compacted when records point to less than this share of it. */
const LIVE_SHARE = 0.5;
/** So many bytes are copied together, or a single entry that is larger. */
const COPIED_BYTES = 8 * 2 ** 20;

interface Entry {
  readonly place: Place;
  readonly head: Head;
}

export class Compaction {
  readonly #database: Database;
  readonly #mover: Mover;
  readonly #log: Logger;
  readonly #dayMs: number;

  constructor(database: Database, mover: Mover, log: Logger, dayMs = DAY_MS) {
    this.#database = database;
    this.#mover = mover;
    this.#log = log;
    this.#dayMs = dayMs;
  }

  /**
   * Looks at all segments once. Returns the names of those that are missing though records point to
   * them, or that cannot be read.
   */
  async run(): Promise<string[]> {
    const { directory, writing } = this.#mover;
    const all = await directory.segments();
    const [epoch, earlier, live] = await this.#database.use((redis) =>
      Promise.all([redis.get(keys.epoch), redis.hgetall(keys.earlierEpochs), redis.hgetall(keys.segments)]),
    );
    const known = new Set(all.map(({ name }) => name));
    const missing = Object.keys(live).filter((name) => name !== writing && !known.has(name));
    const epochs = new Map<string, string | null>();
    const each = async (visit: (file: SegmentFile) => Promise<void>) => {
      for (const file of all) {
        if (file.name === writing || missing.includes(file.name)) continue;
        try {
          await visit(file);
        } catch (error) {
          // The others need not wait for it.
          if (!(error instanceof OutOfReach)) throw error;
          this.#log.error({ segment: file.name, err: error }, "a segment of the archive cannot be read");
          missing.push(file.name);
        }
      }
    };
    await each(async ({ name }) => void epochs.set(name, await directory.epoch(name)));
    // An earlier store that goes on writing is not gone: another Redis has its records.
    const alive = new Set([...epochs].flatMap(([name, of]) => (of !== null && name > earlier[of] ? [of] : [])));
    const isOurs = (of: string | null) => of === (epoch ?? "") || (of !== null && of in earlier && !alive.has(of));
    await each(async (file) => {
      // Who dies while a segment is begun leaves a file with less than its header: nobody's.
      if (file.bytes < HEADER_BYTES || isOurs(epochs.get(file.name)!))
        await this.#free(file, Number(live[file.name] ?? 0), all);
    });
    return missing;
  }

  async #free(file: SegmentFile, liveBytes: number, all: readonly SegmentFile[]): Promise<void> {
    if (file.quarantined) await this.#inQuarantine(file, liveBytes);
    else if (liveBytes > 0 ? liveBytes < LIVE_SHARE * file.bytes : this.#isOld(file)) await this.#compact(file, all);
  }

  #isOld({ changedMs }: SegmentFile): boolean {
    return changedMs < Date.now() - this.#dayMs;
  }

  async #inQuarantine(file: SegmentFile, liveBytes: number): Promise<void> {
    const { directory } = this.#mover;
    if (liveBytes > 0) {
      await directory.bringBack(file.name);
      this.#log.warn({ segment: file.name }, "records point to a segment of the archive in quarantine: it is back");
    } else if (this.#isOld(file)) await directory.remove(file.name);
  }

  /** Copies what is needed of a segment. Then it goes into quarantine, if it is old enough. */
  async #compact(file: SegmentFile, all: readonly SegmentFile[]): Promise<void> {
    const { directory } = this.#mover;
    await this.#copyThose(file, (entry) => this.#isPointedTo(entry));
    const stillLive = await this.#database.use((redis) => redis.hexists(keys.segments, file.name));
    if (stillLive !== 0 || !this.#isOld(file)) return;
    // Not before: a segment with a damaged entry is compacted again and again.
    if (all.some(({ name }) => name < file.name)) await this.#copyThose(file, isTombstone);
    await directory.quarantine(file.name);
  }

  async #copyThose(file: SegmentFile, isWanted: (entry: Entry) => boolean | Promise<boolean>): Promise<void> {
    await this.#mover.directory.read(file.name, async (read) => {
      let waiting: Entry[] = [];
      let bytes = 0;
      for await (const found of scan(file.name, read)) {
        if ("damagedBytes" in found || !(await isWanted(found))) continue;
        waiting.push(found);
        bytes += found.place.bytes;
        if (bytes < COPIED_BYTES) continue;
        await this.#copy(read, waiting);
        waiting = [];
        bytes = 0;
      }
      await this.#copy(read, waiting);
    });
  }

  async #isPointedTo(entry: Entry): Promise<boolean> {
    if (isTombstone(entry)) return false;
    const job = this.#keyOf(entry.head);
    return (await this.#database.use((redis) => redis.hget(job, "archived"))) === placeText(entry.place);
  }

  async #copy(read: Read, entries: readonly Entry[]): Promise<void> {
    const whole = await this.#undamaged(read, entries);
    if (whole.length === 0) return;
    const copies = await this.#mover.append(whole.map(({ head }) => copyOf(read, head)));
    await Promise.all(
      whole.map(async (entry, i) => {
        if (isTombstone(entry)) return;
        const { head, place } = entry;
        await this.#database.run("move_entry", this.#keyOf(head), placeText(place), placeText(copies[i]));
      }),
    );
    crashPoint("archive-moved");
  }

  /** A damaged entry stays where it is. Who reads it is told. */
  async #undamaged(read: Read, entries: readonly Entry[]): Promise<Entry[]> {
    const whole: Entry[] = [];
    for (const entry of entries) {
      try {
        await checkEntry(read, entry.place);
        whole.push(entry);
      } catch (error) {
        if (!(error instanceof DamagedEntry)) throw error;
        this.#log.error({ ...entry.place, err: error }, "an entry of the archive is damaged");
      }
    }
    return whole;
  }

  #keyOf({ about }: Head): string {
    const { owner, id } = about as ArchivedJob;
    return keys.job(owner, id);
  }
}

function isTombstone({ head }: Entry): boolean {
  return "deleted" in (head.about as ArchivedJob | Tombstones);
}

function copyOf(read: Read, { about, parts }: Head): NewEntry {
  return {
    about,
    parts: [...parts].map(([name, part]) => ({
      name,
      bytes: part.bytes,
      sha256: part.sha256,
      content: readPart(read, part),
    })),
  };
}
