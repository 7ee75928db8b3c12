/*
 * The datasets of this process' data directory, by the SHA-256 of their bytes: `<sha256>.csv` as they were uploaded,
 * `<sha256>.columns` parsed.
 *
 * Both are written under temporary names, synced, and then renamed, the columns last. An error
 * removes the temporary files. What a crash leaves behind is removed by a start that comes an hour
 * later or more, since another process may share the directory. An upload replaces bytes that are
 * there already, and so repairs damaged ones.
 *
 * The CSV file is the original, and the name is its hash. The columns have checksums
 * (column-file.ts), and are made again from the original when they turn out to be damaged or
 * missing. If that is damaged too, the dataset is lost.
 *
 * A deletion first renames the files ("retires" them), and removes them once nothing refers to them
 * any more. A disk that does not allow it refuses before anything is lost. An upload of the same
 * bytes meanwhile either sees that they have gone or is seen (src/api/datasets.ts). After a crash
 * the next start puts retired files back. Files that nothing refers to are removed by the caller,
 * who knows the records.
 */
import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline, Transform, type Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { meters } from "../meters.ts";
import { isDamaged, PROBE_NAME, probeDirectory, removeAbandoned, syncDirectory } from "./disk.ts";
import { DatasetLost, DatasetTooLarge, InvalidDataset, type DatasetContent } from "./dataset.ts";
import { itself, runInHelper, type Asker } from "./pool.ts";
import type { Source } from "./source.ts";

const FINISHED = /^[0-9a-f]{64}\.(csv|columns)$/;
/** A deletion that goes on for longer was cut off. */
const [RETIRED_POLLS, RETIRED_POLL_MS] = [100, 10];
/** Each deletion has a name of its own: one must not remove what another one may put back. */
const RETIRED = /^retired-[0-9a-f-]{36}-([0-9a-f]{64}\.(?:csv|columns))$/;
const UNFINISHED = /^upload-[0-9a-f-]{36}\.(csv|columns)$/;

/** Where it is said that a file was repaired. */
interface Log {
  warn(about: object, message: string): void;
}

const silent: Log = { warn: () => undefined };

/** The files of a dataset on their way out. */
export interface Retired {
  putBack(): Promise<void>;
  remove(): Promise<void>;
}

/** A table that was read and is not kept yet. */
export interface Draft {
  readonly content: DatasetContent;
  /** The file of its columns, until it is kept or discarded. */
  readonly columnsPath: string;
  /**
   * Makes it the dataset file by the hash of its bytes, in the place of one that is there already.
   */
  keep(): Promise<void>;
  /** Removes what was not kept. */
  discard(): Promise<void>;
}

type Arrived = (bytes: number) => Promise<void>;

/** An open file, to be read by one of its streams, which closes it. */
export interface Original {
  readonly bytes: number;
  /** From any byte on. Whoever takes them checks their hash. */
  from(first: number): Readable;
  /**
   * All of them. The stream fails before it has given the last one if they are others than they
   * were.
   */
  checked(): Readable;
}

export class DatasetFiles {
  readonly #directory: string;
  readonly #log: Log;
  /** The columns that are being made again, by hash. */
  readonly #rebuilding = new Map<string, Promise<void>>();
  #probing: Promise<void> | null = null;
  /** The last that was begun on each dataset's files, by hash. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(directory: string, log: Log = silent) {
    this.#directory = directory;
    this.#log = log;
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
    // One at a time: a disk that hangs must not take a thread for each that asks.
    this.#probing ??= probeDirectory(this.#directory).finally(() => (this.#probing = null));
    await this.#probing;
  }

  /**
   * The table of a CSV file. Only reads as much of the body as the limit and `arrived` allow, which
   * is told of all bytes so far, and leaves the rest unread, so that the sender can still be
   * answered.
   * @throws InvalidDataset, DatasetTooLarge, what `arrived` throws, or the body's own error if it
   * is cut off; nothing is left on disk then.
   */
  receive(body: Readable, limitBytes: number, asker = itself, arrived?: Arrived): Promise<Draft> {
    const chunks = atMost(body.iterator({ destroyOnReturn: false }), limitBytes, arrived);
    return this.#draft(asker, (csv) => writeFile(csv, chunks, { flag: "wx", flush: true }));
  }

  /**
   * The table of a spec's own source.
   * @throws InvalidDataset
   */
  draft(source: Source, asker = itself): Promise<Draft> {
    return this.#draft(asker, (csv) => runInHelper("writeSource", { source, csv }, asker));
  }

  async #draft(asker: Asker, write: (csv: string) => Promise<void>): Promise<Draft> {
    const temporary = join(this.#directory, `upload-${randomUUID()}`);
    const [csv, columnsPath] = [`${temporary}.csv`, `${temporary}.columns`];
    const discard = async () => {
      await Promise.all([rm(csv, { force: true }), rm(columnsPath, { force: true })]);
    };
    try {
      await write(csv);
      const result = await runInHelper("ingest", { csv, columns: columnsPath }, asker);
      if ("refused" in result) throw new InvalidDataset(result.refused.message, result.refused.line);
      const { content } = result;
      return { content, columnsPath, keep: () => this.#keep(csv, columnsPath, content.sha256), discard };
    } catch (error) {
      await discard();
      throw error;
    }
  }

  async #keep(csv: string, columns: string, sha256: string): Promise<void> {
    await rename(csv, this.#path(sha256, "csv"));
    await rename(columns, this.columnsPath(sha256));
    await syncDirectory(this.#directory);
  }

  /** Does one thing after the other with the files of a dataset: keeping them until they are referred to, or removing them if they are not. */
  async exclusively<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(sha256) ?? Promise.resolve()).then(work, work);
    this.#turns.set(sha256, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(sha256) === turn) this.#turns.delete(sha256);
    }
  }

  /** The hashes of the datasets of which there is a file. */
  async list(): Promise<string[]> {
    const names = (await readdir(this.#directory)).filter((name) => FINISHED.test(name));
    return [...new Set(names.map((name) => name.slice(0, 64)))];
  }

  /** Removes a dataset that was kept, or kept anew, more than an hour ago. */
  async removeAbandoned(sha256: string): Promise<void> {
    await removeAbandoned(this.#directory, [`${sha256}.columns`, `${sha256}.csv`]);
  }

  /** Whether there is a file of the dataset: its columns, or what they can be made of. */
  async has(sha256: string): Promise<boolean> {
    return (await this.#isThere(`${sha256}.columns`)) || (await this.#isThere(`${sha256}.csv`));
  }

  /** Whether both files of the dataset are there. */
  async isWhole(sha256: string): Promise<boolean> {
    return (await this.#isThere(`${sha256}.columns`)) && (await this.#isThere(`${sha256}.csv`));
  }

  /**
   * Gives `read` the file of typed columns. If that turns out to be damaged it is made again, and
   * read once more.
   * @throws DatasetLost, and whatever `read` throws
   */
  async use<T>(sha256: string, read: (columnsPath: string) => Promise<T>): Promise<T> {
    const path = this.columnsPath(sha256);
    try {
      return await read(path);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      const rebuilding = this.#rebuilding.get(sha256) ?? this.#rebuild(sha256, error as Error);
      this.#rebuilding.set(sha256, rebuilding);
      await rebuilding.finally(() => this.#rebuilding.delete(sha256));
    }
    return await read(path).catch((error: Error) => {
      // Made a moment ago: they were deleted since, or the disk keeps nothing.
      throw isDamaged(error) ? new DatasetLost(error.message) : error;
    });
  }

  /** A file that is retired is about to be removed or put back, which is waited for. */
  async #isThere(name: string): Promise<boolean> {
    const path = join(this.#directory, name);
    for (let i = 0; i < RETIRED_POLLS; i++) {
      if (await exists(path)) return true;
      // A worker whose datasets come from elsewhere has no directory.
      const names = await readdir(this.#directory).catch(() => []);
      if (!names.some((other) => RETIRED.exec(other)?.[1] === name)) break;
      await sleep(RETIRED_POLL_MS);
    }
    return await exists(path);
  }

  async #rebuild(sha256: string, { message }: Error): Promise<void> {
    meters.damage.inc({ what: "columns" });
    const temporary = join(this.#directory, `upload-${randomUUID()}.columns`);
    try {
      const csv = this.#path(sha256, "csv");
      const missing = new DatasetLost(`${message} The CSV file to make it again from is missing.`);
      if (!(await this.#isThere(`${sha256}.csv`))) throw missing;
      const ingested = runInHelper("ingest", { csv, columns: temporary }, itself);
      const result = await ingested.catch((error: NodeJS.ErrnoException) => {
        throw error.code === "ENOENT" ? missing : error;
      });
      if ("refused" in result || result.content.sha256 !== sha256) {
        throw new DatasetLost(`${message} The CSV file to make it again from is damaged as well.`);
      }
      await rename(temporary, this.columnsPath(sha256));
      // The dataset may have been deleted meanwhile, and its columns would stay behind.
      if (!(await this.#isThere(`${sha256}.csv`))) {
        await rm(this.columnsPath(sha256), { force: true });
        throw missing;
      }
      await syncDirectory(this.#directory);
      this.#log.warn({ sha256, reason: message }, "the columns of a dataset were made again from its CSV file");
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** The bytes as they were uploaded; null if they are not here. */
  async original(sha256: string): Promise<Original | null> {
    const path = this.#path(sha256, "csv");
    if (!(await this.#isThere(`${sha256}.csv`))) return null;
    // Opened, it stays readable to its end even if the dataset is deleted meanwhile.
    const file = await open(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (file === null) return null;
    const from = (first: number) => file.createReadStream({ start: first });
    return {
      bytes: (await file.stat()).size,
      from,
      checked: () => pipeline(from(0), checkedAgainst(sha256), () => undefined),
    };
  }

  /** The file of typed columns, to be read by `use`. */
  columnsPath(sha256: string): string {
    return this.#path(sha256, "columns");
  }

  /** @throws Error if the disk does not allow it; the files are where they were then */
  async retire(sha256: string): Promise<Retired> {
    const id = randomUUID();
    const names = [`${sha256}.columns`, `${sha256}.csv`].map((name) => ({ name, retired: `retired-${id}-${name}` }));
    const putBack = async () => {
      for (const { name, retired } of names) await this.#putBack(retired, name);
    };
    const remove = async () => {
      for (const { retired } of names) await rm(join(this.#directory, retired), { force: true });
    };
    try {
      for (const { name, retired } of names) await this.#rename(name, retired);
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

  /** Unless it is not there. */
  async #rename(from: string, to: string): Promise<void> {
    await rename(join(this.#directory, from), join(this.#directory, to)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }

  #path(sha256: string, extension: "csv" | "columns"): string {
    const name = `${sha256}.${extension}`;
    if (!FINISHED.test(name)) throw new Error(`${JSON.stringify(sha256)} is no SHA-256.`);
    return join(this.#directory, name);
  }
}

async function* atMost(chunks: AsyncIterable<Buffer>, limitBytes: number, arrived?: Arrived): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new DatasetTooLarge(limitBytes);
    await arrived?.(bytes);
    yield chunk;
  }
}

/** Passes on what it gets, the last chunk only if all of it has this hash. */
function checkedAgainst(sha256: string): Transform {
  const hash = createHash("sha256");
  let last: Buffer | undefined;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, last);
      last = chunk;
    },
    flush(done) {
      if (hash.digest("hex") === sha256) return done(null, last);
      meters.damage.inc({ what: "dataset" });
      done(new DatasetLost("The file of this dataset is damaged."));
    },
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
