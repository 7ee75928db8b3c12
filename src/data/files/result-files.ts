/**
 * Files of results, beside the files of datasets: `<prediction id>.result` holds the CSV of a
 * prediction over a dataset; `<job id>.<number>.result` holds the models of a shard of a set, and
 * `<job id>.index.result` the list of all its models. Each file belongs to one record, so it is
 * removed with the record, and no other is asked. It is written as `<id>.<random>.part`, synced,
 * and renamed when it is complete. A run that died writes the same bytes again.
 *
 * A file stays behind if a process dies between the deletion of a record and that of its file, or
 * if the record goes because it is old. Such files are looked for from time to time
 * (src/api/results.ts).
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crashPoint } from "../../crash-point.ts";
import { DamagedFile, removeAbandoned } from "./disk.ts";
import { syncDirectory } from "../../sync-directory.ts";
import { OpenFile } from "./open-file.ts";

const KEPT = /^(pred_[0-9a-z]{26}|job_[0-9a-z]{26}\.(?:\d+|index))\.result$/;
const PART = /^(?:pred|job)_[0-9a-z]{26}\.(?:(?:\d+|index)\.)?[0-9a-f-]{36}\.part$/;

/** A file that is being written. */
export interface Part {
  readonly path: string;
  /** Makes it the result. It replaces one that is there. */
  keep(): Promise<void>;
  /** Removes it if it was not kept. */
  discard(): Promise<void>;
}

export class ResultFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Creates the directory, or removes what crashes left in it some time ago. */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    await this.removeAbandonedParts();
  }

  /** Removes the files that were being written by processes that died some time ago. */
  async removeAbandonedParts(): Promise<void> {
    const names = await readdir(this.#directory);
    await removeAbandoned(
      this.#directory,
      names.filter((name) => PART.test(name)),
    );
  }

  begin(id: string): Part {
    const path = join(this.#directory, `${id}.${randomUUID()}.part`);
    return { path, keep: () => this.keep({ id, path }), discard: () => rm(path, { force: true }) };
  }

  /** Makes a file that was written here, and synced, the result. It replaces one that is there. */
  async keep({ id, path }: { readonly id: string; readonly path: string }): Promise<void> {
    await rename(path, this.pathOf(id));
    await syncDirectory(this.#directory);
    crashPoint("after-keep-result");
  }

  /** Keeps a result that arrives from elsewhere. @throws DamagedFile if it is not what was sent */
  async receive(id: string, body: AsyncIterable<Buffer>, sha256: string): Promise<void> {
    const part = this.begin(id);
    const hash = createHash("sha256");
    try {
      await writeFile(
        part.path,
        hashed(body, (chunk) => hash.update(chunk)),
        { flag: "wx", flush: true },
      );
      if (hash.digest("hex") !== sha256) throw new DamagedFile("Other bytes arrived than were sent.", part.path);
      await part.keep();
    } finally {
      await part.discard();
    }
  }

  /** Null if it is not here. */
  async open(id: string): Promise<OpenFile | null> {
    return await OpenFile.open(this.pathOf(id));
  }

  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  /** Removes the files of a set of models. */
  async removeSet(id: string): Promise<void> {
    const files = (await this.list()).filter((one) => one.startsWith(`${id}.`));
    for (const file of files) await this.remove(file);
  }

  /** The ids that have a file here. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#directory);
    return names.flatMap((name) => KEPT.exec(name)?.[1] ?? []);
  }

  /** Removes those that were kept more than an hour ago. */
  async removeAbandoned(ids: readonly string[]): Promise<void> {
    await removeAbandoned(
      this.#directory,
      ids.map((id) => `${id}.result`),
    );
  }

  /** Where the file of this id is, if it is here. */
  pathOf(id: string): string {
    const name = `${id}.result`;
    if (!KEPT.test(name)) throw new Error(`${JSON.stringify(id)} is no id of a result.`);
    return join(this.#directory, name);
  }
}

async function* hashed(body: AsyncIterable<Buffer>, update: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    update(chunk);
    yield chunk;
  }
}
