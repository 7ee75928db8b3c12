/*
 * The files of the datasets in the data directory of this process. A dataset is bytes and how they
 * are read. `<sha256>.csv` holds the bytes as they came, and is named by their hash. All readings
 * of the bytes share it. `<columns_sha256>.columns` holds the columns of one reading, and is named
 * by its own hash (column-file.ts). The columns of datasets from earlier versions are named by the
 * hash of the bytes.
 *
 * Both files are written under temporary names, synced and then renamed, the columns last. After an
 * error the temporary files are removed. Temporary files that a crash left are removed by the first
 * start an hour later or more, because another process may share the directory. An upload replaces
 * existing files, and so repairs damaged ones.
 *
 * The columns have checksums. If they turn out to be damaged or missing, they are made again from
 * the CSV file, by the reading of the dataset. The result must be the same as before. If it is not,
 * the dataset is lost: either the CSV file is damaged too, or this version reads it differently.
 *
 * A deletion first renames the files ("retires" them). It removes them once no record refers to
 * them any more. If the disk does not allow this, the rename fails before anything is lost. If the
 * same dataset is uploaded meanwhile, either the upload sees that the files are gone, or the
 * deletion sees the upload (src/api/datasets.ts). After a crash the next start puts retired files
 * back. The caller knows the records, and removes files that none of them refers to.
 */
import { randomUUID } from "node:crypto";
import { access, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { crashPoint } from "../../crash-point.ts";
import { meters } from "../../meters.ts";
import { DamagedFile, isDamaged, PROBE_NAME, probeDirectory, removeAbandoned } from "./disk.ts";
import { syncDirectory } from "../../sync-directory.ts";
import {
  type ColumnSummary,
  columnsFile,
  columnsName,
  csvFile,
  DatasetLost,
  DatasetTooLarge,
  InvalidDataset,
  keepsTexts,
  type Named,
  type PlainFormat,
  plainFormatOf,
  type ReadContent,
  type StoredDataset,
  UnrecognisedDataset,
} from "../dataset.ts";
import type { IngestInput } from "../ingest.ts";
import { OpenFile } from "./open-file.ts";
import { thisProcess, runInHelper, type Caller } from "../pool.ts";
import { ALL_DETECTED, type Reading, type ReadingOptions } from "../reading.ts";
import { ResultFiles } from "./result-files.ts";
import { WeightFiles } from "./weight-files.ts";
import { SOURCE_READING, type Source } from "../source.ts";
import { atMost, unpack, type Packing } from "../table/unpack.ts";

const FINISHED = /^[0-9a-f]{64}\.(csv|columns|weights)$/;
/** A deletion that takes longer than this was interrupted. */
const [RETIRED_POLLS, RETIRED_POLL_MS] = [100, 10];
/**
 * Each deletion has its own name, because it must not remove a file that another deletion may put
 * back.
 */
const RETIRED = /^retired-[0-9a-f-]{36}-([0-9a-f]{64}\.(?:csv|columns|weights))$/;
const UNFINISHED = /^upload-[0-9a-f-]{36}\.(csv|columns|weights)$/;

/** The log for repairs of files. */
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

/** A table that has been read but is not yet kept. */
export interface Draft {
  readonly content: ReadContent;
  /** The file of its columns, until it is kept or discarded. */
  readonly columnsPath: string;
  /** Renames its files to their hashes. They replace existing files. */
  keep(): Promise<void>;
  /** Removes the files that were not kept. */
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
  readonly weights: WeightFiles;
  readonly results: ResultFiles;
  #probing: Promise<void> | null = null;
  /** The last work that was begun on the files of the same bytes, by the hash of the bytes. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(directory: string, log: Log = silent, isNeeded: IsNeeded = async () => true) {
    this.#directory = directory;
    this.#log = log;
    this.#isNeeded = isNeeded;
    this.weights = new WeightFiles(directory, (name) => this.#isThere(name));
    this.results = new ResultFiles(directory);
  }

  /**
   * Creates the directory, or repairs what a crash left in it: interrupted deletions are undone,
   * and uploads that were interrupted some time ago are removed. It is called once, before any
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

  /** @throws Error with the reason if nothing can be written to the directory */
  async probe(): Promise<void> {
    // One probe at a time: a disk that hangs must not take a thread for each caller.
    this.#probing ??= probeDirectory(this.#directory).finally(() => (this.#probing = null));
    await this.#probing;
  }

  /**
   * Reads a file, after undoing `packing`: as what it is recognised as, else as `plain`. `arrived`
   * gets the number of bytes so far. If it throws, or the limit is reached, the rest of the body
   * stays unread, so that the sender can still be answered. The limit and `arrived` count unpacked
   * bytes.
   * @throws InvalidDataset, UnrecognisedDataset, DatasetTooLarge, what `arrived` throws, or the
   * error of a body that is cut off. Nothing is left on disk then.
   */
  receive(
    body: Readable,
    limitBytes: number,
    caller = thisProcess,
    arrived?: Arrived,
    asked: ReadingOptions | Reading = ALL_DETECTED,
    packing: Packing | null = null,
    plain: PlainFormat = "csv",
  ): Promise<Draft> {
    const sent: AsyncIterable<Buffer> = body.iterator({ destroyOnReturn: false });
    const chunks = atMost(packing === null ? sent : unpack(sent, packing), limitBytes, arrived);
    const write = (csv: string) => writeFile(csv, chunks, { flag: "wx", flush: true });
    return this.#draft(caller, write, { asked, plain, limitBytes });
  }

  /**
   * The table of a source within a spec.
   * @throws InvalidDataset
   */
  draft(source: Source, caller = thisProcess): Promise<Draft> {
    // As text: to copy its rows one by one to the thread would take ten times as long.
    const write = (csv: string) => runInHelper("writeSource", { source: JSON.stringify(source), csv }, caller);
    return this.#draft(caller, write, { asked: SOURCE_READING });
  }

  async #draft(
    caller: Caller,
    write: (csv: string) => Promise<void>,
    { asked, plain = "csv", limitBytes = Infinity }: Pick<IngestInput, "asked"> & Partial<IngestInput>,
  ): Promise<Draft> {
    const temporary = join(this.#directory, `upload-${randomUUID()}`);
    const [csv, columnsPath] = [`${temporary}.csv`, `${temporary}.columns`];
    const discard = async () => {
      await Promise.all([rm(csv, { force: true }), rm(columnsPath, { force: true })]);
    };
    try {
      await write(csv);
      const result = await runInHelper("ingest", { csv, columns: columnsPath, asked, plain, limitBytes }, caller);
      if ("unrecognised" in result) throw new UnrecognisedDataset();
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
   * Runs work on the files of the same bytes one after the other. Such work keeps files until a
   * record refers to them, removes files that no record refers to, or makes columns again.
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

  /** The names of all kept files. */
  async list(): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => FINISHED.test(name));
  }

  /** Removes those of the files that were last kept more than an hour ago. */
  async removeAbandoned(names: readonly string[]): Promise<void> {
    await removeAbandoned(this.#directory, names);
  }

  /**
   * Whether a file of the dataset exists: its columns, or the CSV file that they can be made from.
   */
  async has(dataset: Named): Promise<boolean> {
    return (await this.#isThere(columnsFile(dataset))) || (await this.#isThere(csvFile(dataset)));
  }

  /** Whether all these files exist. */
  async hasAll(names: readonly string[]): Promise<boolean> {
    const there = await Promise.all(names.map((name) => this.#isThere(name)));
    return there.every(Boolean);
  }

  /**
   * Calls `read` with the path of the file of typed columns. If the file turns out to be damaged,
   * it is made again and read once more.
   * @throws DatasetLost, and whatever `read` throws
   */
  async use<T>(dataset: StoredDataset, read: (columnsPath: string) => Promise<T>): Promise<T> {
    const path = this.columnsPath(dataset);
    try {
      return await read(path);
    } catch (error) {
      if (!isDamaged(error, path)) throw error;
      const rebuilding = this.#rebuilding.get(path) ?? this.#rebuild(dataset, error as Error);
      this.#rebuilding.set(path, rebuilding);
      await rebuilding.finally(() => this.#rebuilding.delete(path));
    }
    return await read(path).catch((error: Error) => {
      // The file was made a moment ago. So it has been deleted since, or the disk does not keep
      // files.
      throw isDamaged(error, path) ? new DatasetLost(error.message) : error;
    });
  }

  /** Whether a file exists. If it is retired, it waits until the file is removed or put back. */
  async #isThere(name: string): Promise<boolean> {
    const path = this.#path(name);
    for (let i = 0; i < RETIRED_POLLS; i++) {
      if (await exists(path)) return true;
      // A worker that fetches its datasets does not have this directory.
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

  /** @throws DatasetLost if the result differs from the columns that the dataset had */
  async #readAgain(dataset: StoredDataset, columns: string, why: string): Promise<void> {
    const missing = new DatasetLost(`${why} The CSV file to make it again from is missing.`);
    if (!(await this.#isThere(csvFile(dataset)))) throw missing;
    const csv = this.#path(csvFile(dataset));
    const asked = dataset.reading ?? ALL_DETECTED;
    const plain = plainFormatOf(dataset);
    const input = { csv, columns, asked, plain, limitBytes: Infinity, keepsTexts: dataset.columns.some(keepsTexts) };
    const ingested = runInHelper("ingest", input, thisProcess);
    const result = await ingested.catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? missing : error;
    });
    if (!("content" in result) || result.content.sha256 !== dataset.sha256) {
      throw new DatasetLost(`${why} The CSV file to make it again from is damaged as well.`);
    }
    if (!hasSameColumns(result.content, dataset)) {
      const otherwise = "Its CSV file is intact, but this version reads it differently than the one that recorded it.";
      throw new DatasetLost(
        `${why} ${otherwise}`,
        "Upload the same bytes again, and use the dataset that this returns.",
      );
    }
  }

  /** The bytes as they came; null if they are not here. */
  async original(dataset: Pick<Named, "sha256">): Promise<OpenFile | null> {
    const name = csvFile(dataset);
    return await OpenFile.openWhile(() => this.#isThere(name), this.#path(name));
  }

  /**
   * The file of typed columns. Every byte of it has just been checked.
   * @throws DatasetLost
   */
  async columns(dataset: StoredDataset): Promise<OpenFile> {
    const { sha256, columns_sha256 } = dataset;
    return await this.use(dataset, async (path) => {
      await runInHelper("checkColumns", { path, sha256, columns_sha256 }, thisProcess);
      const file = await OpenFile.open(path);
      if (file === null) throw new DamagedFile("The file of columns is missing.", path);
      return file;
    });
  }

  /** The file of typed columns, to be read by `use`. */
  columnsPath(dataset: Named): string {
    return this.#path(columnsFile(dataset));
  }

  /** @throws Error if the disk does not allow it; then the files have not moved */
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

  /** Renames a file if it exists. */
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

/** What the first versions recorded about a column. */
function firstFacts({ name, type, missing, min, max, mean, classes }: ColumnSummary) {
  return { name, type, missing, min, max, mean, classes };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
