/**
 * Files of weights, beside the files of datasets: `<sha256>.weights` holds the bytes as they came.
 * They are kept, retired and removed as those are (dataset-files.ts).
 */
import { randomUUID } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { runInHelper, type Caller } from "../pool.ts";
import { atMost } from "../table/unpack.ts";
import type { WeightsContent } from "../weights.ts";
import { syncDirectory } from "../../sync-directory.ts";
import { OpenFile } from "./open-file.ts";

/** The bytes are no file of weights. */
export class InvalidWeights extends Error {}

/** Weights that have been read but are not yet kept. */
export interface WeightsDraft {
  readonly content: WeightsContent;
  /** Renames the file to its hash. It replaces an existing file. */
  keep(): Promise<void>;
  /** Removes the file if it was not kept. */
  discard(): Promise<void>;
}

type Named = Pick<WeightsContent, "sha256">;

export function weightsFile({ sha256 }: Named): string {
  return `${sha256}.weights`;
}

export class WeightFiles {
  readonly #directory: string;
  readonly #isThere: (name: string) => Promise<boolean>;

  constructor(directory: string, isThere: (name: string) => Promise<boolean>) {
    this.#directory = directory;
    this.#isThere = isThere;
  }

  /**
   * @param arrived gets the number of bytes so far
   * @throws InvalidWeights, DatasetTooLarge, what `arrived` throws, or the error of a body that is
   * cut off. Nothing is left on disk then.
   */
  async receive(
    body: Readable,
    limitBytes: number,
    caller: Caller,
    arrived: (bytes: number) => Promise<void>,
  ): Promise<WeightsDraft> {
    const path = join(this.#directory, `upload-${randomUUID()}.weights`);
    const discard = () => rm(path, { force: true });
    try {
      const sent: AsyncIterable<Buffer> = body.iterator({ destroyOnReturn: false });
      await writeFile(path, atMost(sent, limitBytes, arrived), { flag: "wx", flush: true });
      const result = await runInHelper("describeWeights", { path }, caller);
      if ("refused" in result) throw new InvalidWeights(result.refused);
      const keep = async () => {
        await rename(path, this.path(result.content));
        await syncDirectory(this.#directory);
      };
      return { content: result.content, keep, discard };
    } catch (error) {
      await discard();
      throw error;
    }
  }

  path(weights: Named): string {
    return join(this.#directory, weightsFile(weights));
  }

  /** Whether the file exists. If it is being removed, it waits for the end of that. */
  async has(weights: Named): Promise<boolean> {
    return await this.#isThere(weightsFile(weights));
  }

  /** The bytes as they came; null if they are not here. */
  async original(weights: Named): Promise<OpenFile | null> {
    return await OpenFile.openWhile(() => this.has(weights), this.path(weights));
  }
}
