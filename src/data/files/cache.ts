/*
 * The datasets of a worker with its own data directory. The worker gets missing columns from the
 * api, by the hash that names them, and keeps them as `<hash>.columns` for later jobs. It never
 * reads a CSV file, because a worker of another version might read it differently.
 *
 * A file is fetched once, however many jobs wait for it. The download (`fetch-<hash>-<process>`)
 * stays on disk when an attempt fails. The next attempt continues it, even after a restart. When
 * the download is complete, every byte of it is checked. If it is right, the file is synced and
 * renamed to its final name; if not, it is removed. If the columns turn out to be damaged later
 * (column-file.ts), they are fetched again.
 *
 * If the kept files exceed their limit, those that were used longest ago are removed, but never one
 * that a job is reading. The time of the last use is the file's modification time, so a restart
 * does not lose it.
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
import { isDamaged, PROBE_NAME, probeDirectory, removeAbandoned } from "./disk.ts";
import { syncDirectory } from "../../sync-directory.ts";
import { download, NotThere } from "./download.ts";
import { send } from "./send.ts";
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
  /** Returns the `Authorization` header that the API wants for a dataset, or for a result. */
  authorize(wanted: Pick<WantedDataset, "owner" | "id">): Promise<string>;
  /** How many bytes are kept of datasets that no job reads. */
  maxBytes: number;
  log: Logger;
  backoffMs?: number;
  stalledMs?: number;
}

/** A file of results, which belongs to an owner. */
export interface NamedResult {
  readonly owner: string;
  readonly id: string;
  readonly path: string;
}

/** The file of a prediction's result, or of a shard's. */
export interface SentResult extends NamedResult {
  readonly sha256: string;
}

export interface WantedDataset extends Named {
  readonly owner: string;
  readonly id: string;
}

export class DatasetCache {
  readonly #directory: string;
  readonly #options: DatasetCacheOptions;
  /** How many jobs read a dataset or wait for it. */
  readonly #readers = new Map<string, number>();
  readonly #arriving = new Map<string, Promise<void>>();
  readonly #leaving = new Map<string, Promise<void>>();
  #probing: Promise<void> | null = null;
  /** How many chunks have come from the API, or gone there, so far. */
  received = 0;

  constructor(directory: string, options: DatasetCacheOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /**
   * Creates the directory, or removes abandoned files from it. It is called once, before any use.
   */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    const names = await readdir(this.#directory);
    await removeAbandoned(
      this.#directory,
      names.filter((name) => name.startsWith("fetch-") || PROBE_NAME.test(name)),
    );
  }

  /** @throws Error with the reason if nothing can be written to the directory */
  async probe(): Promise<void> {
    this.#probing ??= probeDirectory(this.#directory).finally(() => (this.#probing = null));
    await this.#probing;
  }

  /**
   * Calls `read` with the path of the dataset's columns. They stay there until it is done.
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
      // Files that cannot be removed now are removed the next time.
      await this.#shrink().catch(() => undefined);
    }
  }

  /**
   * Sends the result of a prediction, or of a shard, to the API, which keeps it.
   * @throws DatasetUnreachable
   */
  async send(result: SentResult): Promise<void> {
    const { id, path, sha256 } = result;
    await this.#tried(`The result of ${id} could not be sent to`, async () => {
      const url = this.#url(`internal/results/${id}?sha256=${sha256}`);
      const authorization = await this.#options.authorize(result);
      await send({ url, authorization, path, sent: () => this.received++ });
    });
  }

  /**
   * Writes a file of a set of models, which the API has, to `path`. Whoever reads it checks it.
   * @throws DatasetUnreachable
   */
  async fetchResult(result: NamedResult): Promise<void> {
    const { authorize, stalledMs } = this.#options;
    const { id, path } = result;
    await this.#tried(`The file ${id} could not be fetched from`, async () => {
      const [url, authorization] = [this.#url(`internal/results/${id}`), await authorize(result)];
      await download({ url, authorization, path, stalledMs, versionOf: () => null, arrived: () => this.received++ });
    });
  }

  #url(path: string): string {
    const { apiUrl } = this.#options;
    return new URL(path, apiUrl.endsWith("/") ? apiUrl : `${apiUrl}/`).href;
  }

  /** @throws DatasetUnreachable once it has failed so often */
  async #tried(failed: string, act: () => Promise<void>): Promise<void> {
    const { apiUrl, backoffMs = BACKOFF_MS, log } = this.#options;
    const attempts = new Retry("result", log);
    for (let attempt = 1; ; attempt++) {
      try {
        await act();
        return attempts.worked();
      } catch (error) {
        attempts.failed(error);
        if (attempt === ATTEMPTS) {
          attempts.gaveUp();
          throw new DatasetUnreachable(`${failed} ${apiUrl}: ${reasonOf(error)}.`, { cause: error });
        }
      }
      await sleep(backoffMs * 2 ** (attempt - 1));
    }
  }

  async #readOrRenew<T>(dataset: WantedDataset, read: (columnsPath: string) => Promise<T>): Promise<T> {
    const path = this.#columnsPath(columnsName(dataset));
    try {
      return await read(path);
    } catch (error) {
      if (!isDamaged(error, path)) throw error;
      meters.damage.inc({ what: "columns" });
    }
    await this.#bring(dataset, () => this.#fetch(dataset));
    return await read(path);
  }

  #columnsPath(name: string): string {
    return join(this.#directory, `${name}.columns`);
  }

  /** Runs `how` once for all jobs that wait for the dataset. */
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
          const message = `The dataset ${dataset.id} could not be fetched from ${this.#options.apiUrl}: ${reasonOf(error)}.`;
          throw lost ? new DatasetLost(message) : new DatasetUnreachable(message, { cause: error });
        }
      }
      await sleep(backoffMs * 2 ** (attempt - 1));
    }
  }

  async #attempt(dataset: WantedDataset): Promise<void> {
    const { authorize, stalledMs } = this.#options;
    const name = columnsName(dataset);
    const path = join(this.#directory, `fetch-${name}-${process.pid}.columns`);
    await download({
      url: this.#url(`internal/datasets/${name}`),
      authorization: await authorize(dataset),
      path,
      versionOf: headerHash,
      stalledMs,
      arrived: () => this.received++,
    }).catch(async (error: unknown) => {
      // An incomplete file must not fill the disk until some job needs the file again.
      if (diskFault(error) !== null) await rm(path, { force: true }).catch(() => undefined);
      throw error;
    });
    try {
      const { sha256, columns_sha256 } = dataset;
      await runInHelper("checkColumns", { path, sha256, columns_sha256 }, thisProcess).catch((error: unknown) => {
        throw isDamaged(error, path) ? new DatasetLost("it sent other bytes") : error;
      });
      await rename(path, this.#columnsPath(name));
      await syncDirectory(this.#directory);
    } finally {
      await rm(path, { force: true });
    }
  }

  /** Removes the files that were used longest ago, until the rest is within the limit. */
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
      // A job that needs it now waits until it is removed, and fetches it again.
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
