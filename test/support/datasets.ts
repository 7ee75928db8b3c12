import type { Readable } from "node:stream";
import type { DatasetContent } from "../../src/data/dataset.ts";
import type { DatasetFiles } from "../../src/data/files.ts";

/** Keeps a CSV file, as an upload does, without recording it. */
export async function ingest(files: DatasetFiles, body: Readable, limitBytes: number): Promise<DatasetContent> {
  const draft = await files.receive(body, limitBytes);
  try {
    await draft.keep();
    return draft.content;
  } finally {
    await draft.discard();
  }
}
