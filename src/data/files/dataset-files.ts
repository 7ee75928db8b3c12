/*
 * The files of the datasets of this process' data directory. A dataset is bytes and how they are
 * read: `<sha256>.csv` are the bytes as they came, named by their hash, which all readings of them
 * share; `<columns_sha256>.columns` is what one reading made of them, named by its own hash
 * (column-file.ts). The columns of a dataset that an earlier version recorded are named by the hash
 * of the bytes.
 *
 * Both are written under temporary names, synced, and then renamed, the columns last. An error
 * removes the temporary files. What a crash leaves behind is removed by a start that comes an hour
 * later or more, since another process may share the directory. An upload replaces files that are
 * there already, and so repairs damaged ones.
 *
 * The columns have checksums. When they turn out to be damaged or missing they are made again from
 * the CSV file, by the reading that the dataset has. They must become what they were: if they do
 * not, be it that the CSV file is damaged too or that this version reads it otherwise, the dataset
 * is lost.
 *
 * A deletion first renames the files that it takes away ("retires" them), and removes them once
 * nothing refers to them any more. A disk that does not allow it refuses before anything is lost.
 * An upload of the same dataset meanwhile either sees that they have gone or is seen
 * (src/api/datasets.ts). After a crash the next start puts retired files back. Files that nothing
 * refers to are removed by the caller, who knows the records.
 */
import { randomUUID } from "node:crypto";
import { access, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { crashPoint } from "../../crash-point.ts";
import { meters } from "../../meters.ts";
import { DamagedFile, isDamaged, PROBE_NAME, probeDirectory, removeAbandoned, syncDirectory } from "./disk.ts";
import {
  type ColumnSummary,
  columnsFile,
  columnsName,
  csvFile,
  DatasetLost,
  DatasetTooLarge,
  InvalidDataset,
  type Named,
  type ReadContent,
  type StoredDataset,
} from "../dataset.ts";
import { OpenFile } from "./open-file.ts";
import { thisProcess, runInHelper, type Caller } from "../pool.ts";
import { ALL_DETECTED, type Reading, type ReadingOptions } from "../reading.ts";
import { SOURCE_READING, type Source } from "../source.ts";
import { atMost, unpack, type Packing } from "../table/unpack.ts";

const FINISHED = /^[0-9a-f]{64}\.(csv|columns)$/;
/** A deletion that takes longer than this was cut off. */
const [RETIRED_POLLS, RETIRED_POLL_MS] = [100, 10];
/**
 * Each deletion has a name of its own, since it must not remove a file that another one may put
 * back.
 */
const RETIRED = /^retired-[0-9a-f-]{36}-([0-9a-f]{64}\.(?:csv|columns))$/;
const UNFINISHED = /^upload-[0-9a-f-]{36}\.(csv|columns)$/;

/** The log that is told when a file was repaired. */
interface Log {
  warn(about: object, message: string): void;
}

const silent: Log = { warn: () => undefined };

/** Files that are about to be removed. */
export interface Retired {
  remove(name: string): Promise<void>;
  /** Puts back all files that were not removed. */
  putBack(): Promise<void>;
}

/** A table that was read and is not yet kept. */
export interface Draft {
  readonly content: ReadContent;
  /** The file of its columns, until it is kept or discarded. */
  readonly columnsPath: string;
  /** Renames its files to their hashes. They replace files that are there already. */
  keep(): Promise<void>;
  /** Removes what was not kept. */
  discard(): Promise<void>;
}

/** Whether a record refers to the file of this name. */
type IsNeeded = (name: string) => Promise<boolean>;

type Arrived = (bytes: number) => Promise<void>;

export class DatasetFiles {
  readonly #directory: string;
  readonly #log: Log;
  readonly #isNeeded: IsNeeded;
  /** The columns that are being made again, by their path. */
  readonly #rebuilding = new Map<string, Promise<void>>();
  #probing: Promise<void> | null = null;
  /** The latest work that was begun on the files of some bytes, by the hash of the bytes. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(directory: string, log: Log = silent, isNeeded: IsNeeded = async () => true) {
    this.#directory = directory;
    this.#log = log;
    this.#isNeeded = isNeeded;
  }

  /**
   * Creates the directory, or sets right what a crash left in it: deletions that were cut off are
   * undone, uploads that were cut off some time ago are removed. To be called once, before any
   * upload.
   */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const names = await readdir(this.#directory);
    for (const name of names) {
      const [, original] = RETIRED.exec(name) ?? [];
      if (original !== undefined) await this.#putBack(name, original);
    }
    const isLeftover = (name: string) => UNFINISHED.test(name) || PROBE_NAME.test(name);
    await removeAbandoned(this.#directory, names.filter(isLeftover));
  }

  /** @throws Error that says what is wrong if nothing can be written to the directory */
  async probe(): Promise<void> {
    // One probe at a time: a disk that hangs must not take a thread for each caller.
    this.#probing ??= probeDirectory(this.#directory).finally(() => (this.#probing = null));
    await this.#probing;
  }

  /**
   * The table of a CSV file, read as is asked; `packing` is undone first. Only reads as much of the
   * body as the limit and `arrived` allow, which is told of all bytes so far, and leaves the rest
   * unread, so that the sender can still be answered. The limit and `arrived` count unpacked bytes.
   * @throws InvalidDataset, DatasetTooLarge, what `arrived` throws, or the body's own error if it
   * is cut off; nothing is left on disk then.
   */
  receive(
    body: Readable,
    limitBytes: number,
    caller = thisProcess,
    arrived?: Arrived,
    asked: ReadingOptions | Reading = ALL_DETECTED,
    packing: Packing | null = null,
  ): Promise<Draft> {
    const sent: AsyncIterable<Buffer> = body.iterator({ destroyOnReturn: false });
    const chunks = atMost(packing === null ? sent : unpack(sent, packing), limitBytes, arrived);
    const write = (csv: string) => writeFile(csv, chunks, { flag: "wx", flush: true });
    return this.#draft(caller, write, asked, limitBytes);
  }

  /**
   * The table of a spec's own source.
   * @throws InvalidDataset
   */
  draft(source: Source, caller = thisProcess): Promise<Draft> {
    const write = (csv: string) => runInHelper("writeSource", { source, csv }, caller);
    return this.#draft(caller, write, SOURCE_READING);
  }

  async #draft(
    caller: Caller,
    write: (csv: string) => Promise<void>,
    asked: ReadingOptions | Reading,
    limitBytes = Infinity,
  ): Promise<Draft> {
    const temporary = join(this.#directory, `upload-${randomUUID()}`);
    const [csv, columnsPath] = [`${temporary}.csv`, `${temporary}.columns`];
    const discard = async () => {
      await Promise.all([rm(csv, { force: true }), rm(columnsPath, { force: true })]);
    };
    try {
      await write(csv);
      const result = await runInHelper("ingest", { csv, columns: columnsPath, asked, limitBytes }, caller);
      if ("refused" in result) throw new InvalidDataset(result.refused.message, result.refused.line);
      if ("tooLarge" in result) throw new DatasetTooLarge(result.tooLarge.limitBytes);
      const { content } = result;
      return { content, columnsPath, keep: () => this.#keep(csv, columnsPath, content), discard };
    } catch (error) {
      await discard();
      throw error;
    }
  }

  async #keep(csv: string, columns: string, dataset: StoredDataset): Promise<void> {
    await rename(csv, this.#path(csvFile(dataset)));
    crashPoint("between-files");
    await rename(columns, this.columnsPath(dataset));
    await syncDirectory(this.#directory);
  }

  /**
   * Runs work on the files of the same bytes one after the other: keeping files until a record
   * refers to them, removing files that no record refers to, making columns again.
   */
  async exclusively<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(sha256) ?? Promise.resolve()).then(work, work);
    this.#turns.set(sha256, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(sha256) === turn) this.#turns.delete(sha256);
    }
  }

  /** The names of all files that were kept. */
  async list(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => FINISHED.test(name));
  }

  /** Removes those of the files that were kept, or kept again, more than an hour ago. */
  async removeAbandoned(names: readonly string[]): Promise<void> {
    await removeAbandoned(this.#directory, names);
  }

  /** Whether there is a file of the dataset: its columns, or what they can be made of. */
  async has(dataset: Named): Promise<boolean> {
    return (await this.#isThere(columnsFile(dataset))) || (await this.#isThere(csvFile(dataset)));
  }

  /** Whether both files of the dataset are there. */
  async isWhole(dataset: Named): Promise<boolean> {
    return (await this.#isThere(columnsFile(dataset))) && (await this.#isThere(csvFile(dataset)));
  }

  /**
   * Gives `read` the file of typed columns. If the file turns out to be damaged, it is made again
   * and read once more.
   * @throws DatasetLost, and whatever `read` throws
   */
  async use<T>(dataset: StoredDataset, read: (columnsPath: string) => Promise<T>): Promise<T> {
    const path = this.columnsPath(dataset);
    try {
      return await read(path);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      const rebuilding = this.#rebuilding.get(path) ?? this.#rebuild(dataset, error as Error);
      this.#rebuilding.set(path, rebuilding);
      await rebuilding.finally(() => this.#rebuilding.delete(path));
    }
    return await read(path).catch((error: Error) => {
      // It was made a moment ago. So it has been deleted since, or the disk keeps nothing.
      throw isDamaged(error) ? new DatasetLost(error.message) : error;
    });
  }

  /**
   * Whether a file is there. Waits for a file that is retired, which is about to be removed or put
   * back.
   */
  async #isThere(name: string): Promise<boolean> {
    const path = this.#path(name);
    for (let i = 0; i < RETIRED_POLLS; i++) {
      if (await exists(path)) return true;
      // A worker that fetches its datasets has no such directory.
      const names = await readdir(this.#directory).catch(() => []);
      if (!names.some((other) => RETIRED.exec(other)?.[1] === name)) break;
      await sleep(RETIRED_POLL_MS);
    }
    return await exists(path);
  }

  async #rebuild(dataset: StoredDataset, { message }: Error): Promise<void> {
    meters.damage.inc({ what: "columns" });
    const path = this.columnsPath(dataset);
    const temporary = join(this.#directory, `upload-${randomUUID()}.columns`);
    try {
      await this.exclusively(dataset.sha256, async () => {
        await this.#readAgain(dataset, temporary, message);
        await rename(temporary, path);
        // The dataset may have been deleted meanwhile. Then its columns must not stay behind.
        if (!(await this.#isNeeded(columnsFile(dataset)))) {
          await rm(path, { force: true });
          throw new DatasetLost(`${message} The dataset was deleted.`);
        }
      });
      await syncDirectory(this.#directory);
      const about = { columns: columnsName(dataset), reason: message };
      this.#log.warn(about, "the columns of a dataset were made again from its CSV file");
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** @throws DatasetLost if this does not give the columns that the dataset had */
  async #readAgain(dataset: StoredDataset, columns: string, why: string): Promise<void> {
    const missing = new DatasetLost(`${why} The CSV file to make it again from is missing.`);
    if (!(await this.#isThere(csvFile(dataset)))) throw missing;
    const csv = this.#path(csvFile(dataset));
    const ingested = runInHelper("ingest", { csv, columns, asked: dataset.reading, limitBytes: Infinity }, thisProcess);
    const result = await ingested.catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? missing : error;
    });
    if (!("content" in result) || result.content.sha256 !== dataset.sha256) {
      throw new DatasetLost(`${why} The CSV file to make it again from is damaged as well.`);
    }
    if (!hasSameColumns(result.content, dataset)) {
      const otherwise = "Its CSV file is sound, but this version reads it otherwise than the one that recorded it.";
      throw new DatasetLost(`${why} ${otherwise}`, "Upload the same bytes again, and use the dataset that this gives.");
    }
  }

  /** The bytes as they came; null if they are not here. */
  async original(dataset: Pick<Named, "sha256">): Promise<OpenFile | null> {
    if (!(await this.#isThere(csvFile(dataset)))) return null;
    return await OpenFile.open(this.#path(csvFile(dataset)));
  }

  /**
   * The file of typed columns, every byte of which has just been checked.
   * @throws DatasetLost
   */
  async columns(dataset: StoredDataset): Promise<OpenFile> {
    const { sha256, columns_sha256 } = dataset;
    return await this.use(dataset, async (path) => {
      await runInHelper("checkColumns", { path, sha256, columns_sha256 }, thisProcess);
      const file = await OpenFile.open(path);
      if (file === null) throw new DamagedFile("The file of columns is missing.");
      return file;
    });
  }

  /** The file of typed columns, to be read by `use`. */
  columnsPath(dataset: Named): string {
    return this.#path(columnsFile(dataset));
  }

  /** @throws Error if the disk does not allow it; then the files are where they were */
  async retire(names: readonly string[]): Promise<Retired> {
    const id = randomUUID();
    const retiredName = (name: string) => `retired-${id}-${name}`;
    const putBack = async () => {
      for (const name of names) await this.#putBack(retiredName(name), name);
    };
    const remove = (name: string) => rm(join(this.#directory, retiredName(name)), { force: true });
    try {
      for (const name of names) await this.#rename(name, retiredName(name));
    } catch (error) {
      await putBack();
      throw error;
    }
    return { putBack, remove };
  }

  /** The same bytes may have been uploaded meanwhile. */
  async #putBack(retired: string, name: string): Promise<void> {
    if (await exists(join(this.#directory, name))) await rm(join(this.#directory, retired), { force: true });
    else await this.#rename(retired, name);
  }

  /** Renames a file if it is there. */
  async #rename(from: string, to: string): Promise<void> {
    await rename(join(this.#directory, from), join(this.#directory, to)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }

  #path(name: string): string {
    if (!FINISHED.test(name)) throw new Error(`${JSON.stringify(name)} is not named by a SHA-256.`);
    return join(this.#directory, name);
  }
}

function hasSameColumns(content: StoredDataset, recorded: StoredDataset): boolean {
  if (recorded.columns_sha256 !== null) return content.columns_sha256 === recorded.columns_sha256;
  const [now, then] = [content, recorded].map(({ rows, columns }) => ({ rows, columns: columns.map(firstFacts) }));
  return isDeepStrictEqual(JSON.parse(JSON.stringify(now)), then);
}

/** What the first versions recorded of a column. */
function firstFacts({ name, type, missing, min, max, mean, classes }: ColumnSummary) {
  return { name, type, missing, min, max, mean, classes };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
