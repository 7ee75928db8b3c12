/**
 * Records of uploaded datasets. The files themselves are named by their content, and may belong to
 * several owners.
 */
import type { Page } from "../contract/wire/common.ts";
import { FIRST_READING, type Column, type Dataset } from "../contract/wire/dataset.ts";
import type { Database } from "./database.ts";
import type { PageOptions } from "./pages.ts";
import { keys } from "./keys.ts";
import { toTime } from "./record.ts";

/** A page of a list ends after so many characters of JSON. */
const PAGE_CHARACTERS = 2 ** 20;

/**
 * Enough to read everything in a record that comes before its columns, however long its name is.
 */
const HEAD_BYTES = 2048;

export type NewDataset = Omit<Dataset, "created_at" | "columns_sha256"> & { columns_sha256: string };

export class Datasets {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * If the owner already has the same bytes with the same reading, returns the existing record.
   * @throws OverLimit, NoRoom
   */
  async put(owner: string, dataset: NewDataset): Promise<{ record: Dataset; created: boolean }> {
    const [text, created] = await this.#database.run<[string, number]>(
      "put_dataset",
      keys.dataset(owner, dataset.id),
      dataset.columns_sha256,
      dataset.sha256,
      dataset.bytes,
      JSON.stringify(dataset),
    );
    return { record: toDataset(text), created: created === 1 };
  }

  async get(owner: string, id: string): Promise<Dataset | null> {
    const text = await this.#text(owner, id);
    return text === null ? null : toDataset(text);
  }

  /**
   * Newest first. A page ends early if its records are large: a hundred records of the widest
   * tables would be 700 MB.
   */
  async list(owner: string, { limit, after }: PageOptions): Promise<Page<Dataset>> {
    const below = after === undefined ? "+" : `(${after}`;
    const ids = await this.#database.use((redis) =>
      redis.zrevrangebylex(keys.datasets(owner), below, "-", "LIMIT", 0, limit + 1),
    );
    const data: Dataset[] = [];
    let characters = 0;
    let looked = 0;
    while (looked < Math.min(limit, ids.length) && characters < PAGE_CHARACTERS) {
      const text = await this.#text(owner, ids[looked++]);
      // The dataset may have been deleted since its id was read.
      if (text !== null) data.push(toDataset(text));
      characters += text?.length ?? 0;
    }
    const more = looked < ids.length;
    return { data, has_more: more, next: more ? ids[looked - 1] : null };
  }

  /** How many bytes of datasets the owner may have, and how many they have. */
  async room(owner: string): Promise<{ limit: number | null; used: number }> {
    const [limit, used] = await this.#database.use((redis) =>
      Promise.all([redis.hget(keys.limits, "dataset_bytes"), redis.hget(keys.usage(owner), "dataset_bytes")]),
    );
    return { limit: limit === null ? null : Number(limit), used: Number(used) };
  }

  /** The size of the owner's largest dataset. A larger upload is surely new. */
  async largest(owner: string): Promise<number> {
    const ids = await this.#database.use((redis) => redis.zrange(keys.datasets(owner), "0", "-1"));
    let most = 0;
    for (const id of ids) {
      const head = await this.#database.use((redis) => redis.getrange(keys.dataset(owner, id), 0, HEAD_BYTES - 1));
      most = Math.max(most, Number(/"sha256":"[0-9a-f]*","bytes":(\d+)/.exec(head)?.[1] ?? 0));
    }
    return most;
  }

  async #text(owner: string, id: string): Promise<string | null> {
    return await this.#database.use((redis) => redis.get(keys.dataset(owner, id)));
  }

  async remove(owner: string, id: string): Promise<"removed" | "in_use" | "missing"> {
    return await this.#database.run("remove_dataset", keys.dataset(owner, id));
  }

  /** Whether a job that has not ended uses it. */
  async inUse(owner: string, id: string): Promise<boolean> {
    return (await this.#database.use((redis) => redis.exists(keys.datasetJobs(owner, id)))) === 1;
  }

  /** How many datasets, of any owner, have the file of this name. */
  async references(name: string): Promise<number> {
    // Datasets that earlier versions recorded are counted by the hash that names both their files.
    const [hash] = name.split(".");
    const counts = await this.#database.use((redis) => redis.hmget(keys.files, name, hash));
    return counts.reduce((sum, count) => sum + Number(count), 0);
  }
}

function toDataset(text: string): Dataset {
  const { counted_bytes: _, ...dataset } = JSON.parse(text);
  // Earlier versions did not record these.
  const { reading = FIRST_READING, columns_sha256 = null, created_at } = dataset;
  const columns = dataset.columns.map((column: Partial<Column>) => {
    const { all_different = false, reason = null } = column;
    return { ...column, all_different, reason };
  });
  // The client sees them in this order.
  return { ...dataset, reading, columns, columns_sha256, created_at: toTime(created_at) };
}
