/** Records of uploaded datasets, and how many bytes and files all uploads have. */
import { FIRST_READING } from "../contract/facts.ts";
import type { Column, Dataset } from "../contract/wire/dataset.ts";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";
import { toTime } from "./record.ts";
import { Uploaded } from "./uploaded.ts";

/**
 * Enough to read everything in a record that comes before its columns, however long its name is.
 */
const HEAD_BYTES = 2048;

export class Datasets extends Uploaded<Dataset> {
  readonly #database: Database;

  constructor(database: Database) {
    const own = { list: keys.datasets, record: keys.dataset, jobs: keys.datasetJobs };
    super(database, own, toDataset, countedFiles);
    this.#database = database;
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

  /** How many uploads, of any owner, have the file of this name. */
  async references(name: string): Promise<number> {
    // Datasets that earlier versions recorded are counted by the hash that names both their files.
    const [hash] = name.split(".");
    const counts = await this.#database.use((redis) => redis.hmget(keys.files, name, hash));
    return counts.reduce((sum, count) => sum + Number(count), 0);
  }
}

/**
 * A record of an earlier version has no hash of its columns. It is known, and its files are
 * counted, by the hash of its bytes.
 */
function countedFiles({ sha256, columns_sha256 }: Pick<Dataset, "sha256" | "columns_sha256">) {
  if (columns_sha256 === null) return { known: sha256, names: [sha256] };
  return { known: columns_sha256, names: [`${columns_sha256}.columns`, `${sha256}.csv`] };
}

function toDataset(text: string): Dataset {
  const { counted_bytes: _, ...dataset } = JSON.parse(text);
  // Earlier versions did not record these.
  const { reading = FIRST_READING, columns_sha256 = null, created_at } = dataset;
  const columns = dataset.columns.map((column: Partial<Column>) => {
    const { all_different = false, reason = null } = column;
    const facts = { ...column, all_different, reason };
    if (column.type === "tensor" || column.type === "text") return facts;
    const { text_bytes = null } = column as { text_bytes?: number | null };
    return { ...facts, text_bytes };
  });
  // The client sees them in this order.
  return { ...dataset, reading, columns, columns_sha256, created_at: toTime(created_at) };
}
