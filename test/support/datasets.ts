import type { Readable } from "node:stream";
import type { ReadContent } from "../../src/data/dataset.ts";
import type { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { thisProcess } from "../../src/data/pool.ts";
import type { Reading } from "../../src/data/reading.ts";

/** Keeps a CSV file, as an upload does, without recording it. */
export async function ingest(
  files: DatasetFiles,
  body: Readable,
  limitBytes: number,
  reading?: Reading,
): Promise<ReadContent> {
  const draft = await files.receive(body, limitBytes, thisProcess, undefined, reading);
  try {
    await draft.keep();
    return draft.content;
  } finally {
    await draft.discard();
  }
}
