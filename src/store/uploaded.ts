/**
 * Records of what owners have uploaded, datasets and weights. The files themselves are named by
 * their content, and may belong to several owners.
 */
import type { Page } from "../contract/wire/common.ts";
import type { Database } from "./database.ts";
import type { PageOptions } from "./pages.ts";

/** A page of a list ends after so many characters of JSON. */
const PAGE_CHARACTERS = 2 ** 20;

interface Keys {
  list(owner: string): string;
  record(owner: string, id: string): string;
  /** The jobs that use it and have not ended. */
  jobs(owner: string, id: string): string;
}

/** How an upload is known, and the names by which its files are counted. */
interface Files {
  readonly known: string;
  readonly names: readonly string[];
}

export class Uploaded<T extends { id: string; bytes: number }> {
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #toRecord: (text: string) => T;
  readonly #files: (record: T) => Files;

  constructor(database: Database, keys: Keys, toRecord: (text: string) => T, files: (record: T) => Files) {
    this.#database = database;
    this.#keys = keys;
    this.#toRecord = toRecord;
    this.#files = files;
  }

  /**
   * If the owner already has the same, returns the existing record.
   * @throws OverLimit, NoRoom
   */
  async put(owner: string, upload: Omit<T, "created_at">): Promise<{ record: T; created: boolean }> {
    const { known, names } = this.#files(upload as T);
    const [text, created] = await this.#database.run<[string, number]>(
      "put_upload",
      this.#keys.record(owner, upload.id),
      known,
      upload.bytes,
      JSON.stringify(upload),
      ...names,
    );
    return { record: this.#toRecord(text), created: created === 1 };
  }

  async get(owner: string, id: string): Promise<T | null> {
    const text = await this.#text(owner, id);
    return text === null ? null : this.#toRecord(text);
  }

  /**
   * Newest first. A page ends early if its records are large: a hundred records of the widest
   * tables would be 700 MB.
   */
  async list(owner: string, { limit, after }: PageOptions): Promise<Page<T>> {
    const below = after === undefined ? "+" : `(${after}`;
    const ids = await this.#database.use((redis) =>
      redis.zrevrangebylex(this.#keys.list(owner), below, "-", "LIMIT", 0, limit + 1),
    );
    const data: T[] = [];
    let characters = 0;
    let looked = 0;
    while (looked < Math.min(limit, ids.length) && characters < PAGE_CHARACTERS) {
      const text = await this.#text(owner, ids[looked++]);
      // It may have been deleted since its id was read.
      if (text !== null) data.push(this.#toRecord(text));
      characters += text?.length ?? 0;
    }
    const more = looked < ids.length;
    return { data, has_more: more, next: more ? ids[looked - 1] : null };
  }

  async remove(owner: string, id: string): Promise<"removed" | "in_use" | "missing"> {
    const record = await this.get(owner, id);
    if (record === null) return "missing";
    const { known, names } = this.#files(record);
    return await this.#database.run("remove_upload", this.#keys.record(owner, id), known, ...names);
  }

  /** Whether a job that has not ended uses it. */
  async inUse(owner: string, id: string): Promise<boolean> {
    return (await this.#database.use((redis) => redis.exists(this.#keys.jobs(owner, id)))) === 1;
  }

  async #text(owner: string, id: string): Promise<string | null> {
    return await this.#database.use((redis) => redis.get(this.#keys.record(owner, id)));
  }
}
