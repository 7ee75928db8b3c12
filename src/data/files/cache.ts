/*
 * The datasets of a worker that has a data directory of its own. What it lacks it gets from the
 * api: the columns, by the hash that names them, and keeps them as `<hash>.columns` for the jobs to
 * come. It never reads a CSV file, which a worker of another version might read otherwise.
 *
 * A file is brought once, however many jobs wait for it. What is downloaded
 * (`fetch-<hash>-<process>`) stays while attempts fail, so that the next one goes on where the last
 * one broke off, even after a restart. Every byte of it is checked before it gets its name, by a
 * rename, synced: bytes that are not what they should be are thrown away. Should the columns turn
 * out to be damaged later (column-file.ts), they are fetched anew.
 *
 * When the kept files take more than their limit, those that were used longest ago go; one that a
 * job reads is never among them. When a file was used last is its time of modification, which
 * outlives the process.
 */
import { mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../log.ts";
import { meters } from "../../meters.ts";
import { Retry } from "../../retries.ts";
import { headerHash } from "./column-file.ts";
import { columnsName, DatasetLost, type Named } from "../dataset.ts";
import { diskFault } from "../../disk-fault.ts";
import { isDamaged, PROBE_NAME, probeDirectory, removeAbandoned, syncDirectory } from "./disk.ts";
import { download, NotThere } from "./download.ts";
import { thisProcess, runInHelper } from "../pool.ts";

const ATTEMPTS = 5;
/** The wait before the second attempt. It doubles before each further one. */
const BACKOFF_MS = 500;

/**
 * The dataset could not be fetched from the API, or the disk here has no room for it. A later
 * attempt or another worker may succeed.
 */
export class DatasetUnreachable extends Error {}

export interface DatasetCacheOptions {
  /** The address of the API. */
  apiUrl: string;
  /** Gives the `Authorization` header with which the API serves a dataset. */
  authorize(dataset: WantedDataset): Promise<string>;
  /** How many bytes are kept of datasets that no job reads. */
  maxBytes: number;
  log: Logger;
  backoffMs?: number;
  stalledMs?: number;
}

export interface WantedDataset extends Named {
  readonly owner: string;
  readonly id: string;
}

export class DatasetCache {
  readonly #directory: string;
  readonly #options: DatasetCacheOptions;
  /** How many jobs read a dataset, or wait to. */
  readonly #readers = new Map<string, number>();
  readonly #arriving = new Map<string, Promise<void>>();
  readonly #leaving = new Map<string, Promise<void>>();
  #probing: Promise<void> | null = null;
  /** How many chunks have come from the API so far. */
  received = 0;

  constructor(directory: string, options: DatasetCacheOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /**
   * Creates the directory, or removes what was abandoned in it. To be called once, before any use.
   */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const names = await readdir(this.#directory);
    await removeAbandoned(
      this.#directory,
      names.filter((name) => name.startsWith("fetch-") || PROBE_NAME.test(name)),
    );
  }

  /** @throws Error that says what is wrong if nothing can be written to the directory */
  async probe(): Promise<void> {
    this.#probing ??= probeDirectory(this.#directory).finally(() => (this.#probing = null));
    await this.#probing;
  }

  /**
   * Gives `read` the path of the dataset's columns, which stay there until it is done.
   * @throws DatasetLost, DatasetUnreachable, and whatever `read` throws
   */
  async use<T>(dataset: WantedDataset, read: (columnsPath: string) => Promise<T>): Promise<T> {
    const name = columnsName(dataset);
    this.#readers.set(name, (this.#readers.get(name) ?? 0) + 1);
    try {
      await this.#bring(dataset, () => this.#find(dataset));
      return await this.#readOrRenew(dataset, read);
    } finally {
      const readers = this.#readers.get(name)! - 1;
      if (readers > 0) this.#readers.set(name, readers);
      else this.#readers.delete(name);
      // What cannot be removed now will be removed the next time.
      await this.#shrink().catch(() => undefined);
    }
  }

  async #readOrRenew<T>(dataset: WantedDataset, read: (columnsPath: string) => Promise<T>): Promise<T> {
    const path = this.#columnsPath(columnsName(dataset));
    try {
      return await read(path);
    } catch (error) {
      if (!isDamaged(error)) throw error;
      meters.damage.inc({ what: "columns" });
    }
    await this.#bring(dataset, () => this.#fetch(dataset));
    return await read(path);
  }

  #columnsPath(name: string): string {
    return join(this.#directory, `${name}.columns`);
  }

  /** Runs `how` once for all who wait for the dataset. */
  async #bring(dataset: WantedDataset, how: () => Promise<void>): Promise<void> {
    const name = columnsName(dataset);
    await this.#leaving.get(name);
    let arriving = this.#arriving.get(name);
    if (arriving === undefined) {
      arriving = how().finally(() => this.#arriving.delete(name));
      this.#arriving.set(name, arriving);
    }
    await arriving;
  }

  async #find(dataset: WantedDataset): Promise<void> {
    const now = new Date();
    const here = await utimes(this.#columnsPath(columnsName(dataset)), now, now).then(
      () => true,
      () => false,
    );
    if (!here) await this.#fetch(dataset);
  }

  async #fetch(dataset: WantedDataset): Promise<void> {
    const { log, backoffMs = BACKOFF_MS } = this.#options;
    const attempts = new Retry("dataset", log);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#attempt(dataset);
        return attempts.worked();
      } catch (error) {
        attempts.failed(error);
        const fault = diskFault(error);
        if (fault !== null) {
          attempts.gaveUp();
          const message = `The disk of the cache ${fault}: the dataset ${dataset.id} cannot be kept there.`;
          throw new DatasetUnreachable(message, { cause: error });
        }
        const lost = error instanceof DatasetLost || error instanceof NotThere;
        if (attempt === ATTEMPTS) {
          attempts.gaveUp();
          const message = `The dataset ${dataset.id} could not be had from ${this.#options.apiUrl}: ${reasonOf(error)}.`;
          throw lost ? new DatasetLost(message) : new DatasetUnreachable(message, { cause: error });
        }
      }
      await sleep(backoffMs * 2 ** (attempt - 1));
    }
  }

  async #attempt(dataset: WantedDataset): Promise<void> {
    const { apiUrl, authorize, stalledMs } = this.#options;
    const name = columnsName(dataset);
    const path = join(this.#directory, `fetch-${name}-${process.pid}.columns`);
    const url = new URL(`internal/datasets/${name}`, apiUrl.endsWith("/") ? apiUrl : `${apiUrl}/`).href;
    await download({
      url,
      authorization: await authorize(dataset),
      path,
      versionOf: headerHash,
      stalledMs,
      arrived: () => this.received++,
    }).catch(async (error: unknown) => {
      // A part of a file must not fill the disk until somebody wants the file again.
      if (diskFault(error) !== null) await rm(path, { force: true }).catch(() => undefined);
      throw error;
    });
    try {
      const { sha256, columns_sha256 } = dataset;
      await runInHelper("checkColumns", { path, sha256, columns_sha256 }, thisProcess).catch((error: unknown) => {
        throw isDamaged(error) ? new DatasetLost("what it sent are other bytes") : error;
      });
      await rename(path, this.#columnsPath(name));
      await syncDirectory(this.#directory);
    } finally {
      await rm(path, { force: true });
    }
  }

  /** Removes what was used longest ago until the rest keeps to the limit. */
  async #shrink(): Promise<void> {
    const names = (await readdir(this.#directory)).filter(
      (name) => name.endsWith(".columns") && !name.startsWith("fetch-"),
    );
    const files = await Promise.all(
      names.map(async (name) => ({ name: name.slice(0, 64), ...(await sizeAndUse(join(this.#directory, name))) })),
    );
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const { name, bytes: size } of files.sort((a, b) => a.usedMs - b.usedMs)) {
      if (bytes <= this.#options.maxBytes) return;
      if (this.#readers.has(name) || this.#leaving.has(name)) continue;
      bytes -= size;
      // A job that wants it now waits until it is gone, and fetches it again.
      const leaving = rm(this.#columnsPath(name), { force: true }).finally(() => this.#leaving.delete(name));
      this.#leaving.set(name, leaving);
      await leaving;
    }
  }
}

async function sizeAndUse(path: string): Promise<{ bytes: number; usedMs: number }> {
  // It may have been removed since the directory was read.
  return stat(path).then(
    ({ size, mtimeMs }) => ({ bytes: size, usedMs: mtimeMs }),
    () => ({ bytes: 0, usedMs: 0 }),
  );
}

/** `fetch` gives the reason of a failure in the error's cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== "" ? cause.message : message;
}
