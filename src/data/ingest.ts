/** Turns the bytes of a dataset into its file of typed columns. It runs in a helper thread. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeColumnFile } from "./files/column-file.ts";
import { DatasetTooLarge, InvalidDataset, type ReadContent } from "./dataset.ts";
import type { Reading, ReadingOptions } from "./reading.ts";
import { readTable } from "./table/read.ts";
import { readTensors } from "./tensors/read.ts";

export interface IngestInput {
  /** The file to read, and the file of columns to write. */
  readonly csv: string;
  readonly columns: string;
  /** What a client asks for, or a complete reading to repeat. */
  readonly asked: ReadingOptions | Reading;
  /** Whether the bytes may be a table. If not, they must be recognised as another format. */
  readonly mayBeTable: boolean;
  /** The limit of the unpacked bytes. */
  readonly limitBytes: number;
}

/** A refusal is a value here, because an error loses its class on the way between threads. */
export type IngestResult =
  | { readonly content: ReadContent }
  | { readonly refused: { message: string; line: number | null } }
  | { readonly unrecognised: true }
  | { readonly tooLarge: { limitBytes: number } };

export async function ingest({
  csv,
  columns: columnsPath,
  asked,
  mayBeTable,
  limitBytes,
}: IngestInput): Promise<IngestResult> {
  try {
    const tensors = await readTensors(csv, limitBytes);
    if (tensors === null && !mayBeTable) return { unrecognised: true };
    if (tensors !== null) refuseReading(asked);
    const { format, reading, rows, columns } = tensors
      ? { ...tensors, reading: null }
      : { ...(await readTable(csv, asked, limitBytes)), format: "csv" as const };
    const { sha256, bytes } = await digestOf(csv);
    const content = { sha256, bytes, reading, rows, columns: columns.map(({ summary }) => summary) };
    const columns_sha256 = await writeColumnFile(columnsPath, content, columns);
    return { content: { format, ...content, columns_sha256 } };
  } catch (error) {
    if (error instanceof InvalidDataset) return { refused: { message: error.message, line: error.line } };
    if (error instanceof DatasetTooLarge) return { tooLarge: { limitBytes: error.limitBytes } };
    throw error;
  }
}

/**
 * What is asked of tables says nothing of arrays. An encoding may come from the Content-Type, so it
 * does not count.
 */
function refuseReading(asked: ReadingOptions | Reading): void {
  if ("version" in asked) return;
  const options = (["separator", "decimal", "header", "comment", "missing_values", "columns"] as const).filter(
    (option) => asked[option] !== null,
  );
  if (options.length === 0) return;
  const said = options.map((option) => `?${option}=`).join(", ");
  throw new InvalidDataset(`The file holds arrays, and ${said} is for tables: leave it out.`, null);
}

/** The hash of the bytes as they came, before they are unpacked or decoded. */
async function digestOf(path: string): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 18 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), bytes };
}
