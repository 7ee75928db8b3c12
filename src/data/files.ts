/*
 * The datasets of this process' data directory, by the SHA-256 of their bytes: `<sha256>.csv` as they were uploaded,
 * `<sha256>.columns` parsed.
 *
 * Both come into being under temporary names, are synced, and are then renamed, the columns last: a dataset is there if
 * its columns are. Whatever goes wrong on the way removes the temporary files; what a crash leaves behind is removed at
 * a start an hour later, since another process may share the directory. A crash may also leave a dataset that nothing refers to: whoever knows what is
 * referred to removes it (src/api/datasets.ts). Keeping a dataset that is there already touches it, so that it is not taken for one of those.
 */
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { ColumnFile } from "./column-file.ts";
import { removeAbandoned, syncDirectory } from "./disk.ts";
import { DatasetTooLarge, InvalidDataset, type DatasetContent } from "./dataset.ts";
import { runInHelper } from "./pool.ts";
import type { Source } from "./source.ts";

const FINISHED = /^[0-9a-f]{64}\.(csv|columns)$/;
const UNFINISHED = /^upload-[0-9a-f-]{36}\.(csv|columns)$/;

/** A table that was read and is not kept yet. */
export interface Draft {
  readonly content: DatasetContent;
  /** The file of its columns, until it is kept or discarded. */
  readonly columnsPath: string;
  /** Makes it a dataset file by the hash of its bytes. */
  keep(): Promise<void>;
  /** Removes what was not kept. */
  discard(): Promise<void>;
}

export class DatasetFiles {
  readonly #directory: string;
  /** The last that was begun on each dataset's files, by hash. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Creates the directory, or removes what interrupted uploads left in it some time ago. To be called once, before any upload. */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const names = new Set(await readdir(this.#directory));
    const isWhole = (sha256: string) => names.has(`${sha256}.csv`) && names.has(`${sha256}.columns`);
    const isLeftover = (name: string) => UNFINISHED.test(name) || (FINISHED.test(name) && !isWhole(name.slice(0, 64)));
    await removeAbandoned(this.#directory, [...names].filter(isLeftover));
  }

  /**
   * The table of a CSV file. Only reads as much of the body as the limit allows, and leaves the rest unread, so that the
   * sender can still be answered.
   * @throws InvalidDataset, DatasetTooLarge, or the body's own error if it is cut off; nothing is left on disk then.
   */
  receive(body: Readable, limitBytes: number): Promise<Draft> {
    const chunks = atMost(body.iterator({ destroyOnReturn: false }), limitBytes);
    return this.#draft((csv) => writeFile(csv, chunks, { flag: "wx", flush: true }));
  }

  /**
   * The table of a spec's own source.
   * @throws InvalidDataset
   */
  draft(source: Source): Promise<Draft> {
    return this.#draft((csv) => runInHelper("writeSource", { source, csv }));
  }

  async #draft(write: (csv: string) => Promise<void>): Promise<Draft> {
    const temporary = join(this.#directory, `upload-${randomUUID()}`);
    const [csv, columnsPath] = [`${temporary}.csv`, `${temporary}.columns`];
    const discard = async () => {
      await Promise.all([rm(csv, { force: true }), rm(columnsPath, { force: true })]);
    };
    try {
      await write(csv);
      const result = await runInHelper("ingest", { csv, columns: columnsPath });
      if ("refused" in result) throw new InvalidDataset(result.refused.message, result.refused.line);
      const { content } = result;
      return { content, columnsPath, keep: () => this.#keep(csv, columnsPath, content.sha256), discard };
    } catch (error) {
      await discard();
      throw error;
    }
  }

  async #keep(csv: string, columns: string, sha256: string): Promise<void> {
    if (await this.has(sha256)) return await this.#touch(sha256);
    await rename(csv, this.#path(sha256, "csv"));
    await rename(columns, this.#path(sha256, "columns"));
    await syncDirectory(this.#directory);
  }

  async #touch(sha256: string): Promise<void> {
    const now = new Date();
    // It may be deleted just now, which whoever keeps it sees when it is recorded.
    const touched = [this.columnsPath(sha256), this.#path(sha256, "csv")].map((path) => utimes(path, now, now));
    await Promise.allSettled(touched);
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

  /** The hashes of the datasets that are there. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#directory);
    return names.filter((name) => FINISHED.test(name) && name.endsWith(".columns")).map((name) => name.slice(0, 64));
  }

  /** Removes a dataset that was kept, or kept anew, more than an hour ago. */
  async removeAbandoned(sha256: string): Promise<void> {
    await removeAbandoned(this.#directory, [`${sha256}.columns`, `${sha256}.csv`]);
  }

  async has(sha256: string): Promise<boolean> {
    return access(this.columnsPath(sha256)).then(
      () => true,
      () => false,
    );
  }

  /** What is known of a dataset that is there. */
  content(sha256: string): Promise<DatasetContent> {
    return ColumnFile.with(this.columnsPath(sha256), (file) => file.content);
  }

  /** How many bytes were uploaded. */
  async contentBytes(sha256: string): Promise<number> {
    return (await stat(this.#path(sha256, "csv"))).size;
  }

  /** The bytes as they were uploaded, from some byte on. */
  contentStream(sha256: string, from = 0): Readable {
    return createReadStream(this.#path(sha256, "csv"), { start: from });
  }

  /** The file of typed columns, which exists if the dataset does. */
  columnsPath(sha256: string): string {
    return this.#path(sha256, "columns");
  }

  async remove(sha256: string): Promise<void> {
    await rm(this.columnsPath(sha256), { force: true });
    await rm(this.#path(sha256, "csv"), { force: true });
  }

  #path(sha256: string, extension: "csv" | "columns"): string {
    const name = `${sha256}.${extension}`;
    if (!FINISHED.test(name)) throw new Error(`${JSON.stringify(sha256)} is no SHA-256.`);
    return join(this.#directory, name);
  }
}

async function* atMost(chunks: AsyncIterable<Buffer>, limitBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new DatasetTooLarge(limitBytes);
    yield chunk;
  }
}
