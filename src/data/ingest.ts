/** Turns the bytes of a dataset into its file of typed columns. It runs in a helper thread. */
import { createHash } from "node:crypto";
import { writeColumnFile } from "./files/column-file.ts";
import { readContents } from "./contents.ts";
import { DatasetTooLarge, InvalidDataset, type PlainFormat, type ReadContent } from "./dataset.ts";
import type { Reading, ReadingOptions } from "./reading.ts";
import { storedBytes } from "./table/unpack.ts";

export interface IngestInput {
  /** The file to read, and the file of columns to write. */
  readonly csv: string;
  readonly columns: string;
  /** What a client asks for, or a complete reading to repeat. */
  readonly asked: ReadingOptions | Reading;
  /** What the bytes are if they are not recognised as another format. */
  readonly plain: PlainFormat;
  /** The limit of the unpacked bytes. */
  readonly limitBytes: number;
  /**
   * Whether the texts of columns without classes are kept. Not given: they are. Earlier versions
   * kept none, and their columns must be made again as they were.
   */
  readonly keepsTexts?: boolean;
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
  plain,
  limitBytes,
  keepsTexts = true,
}: IngestInput): Promise<IngestResult> {
  try {
    const contents = await readContents(csv, asked, plain, limitBytes, keepsTexts);
    if (contents === null) return { unrecognised: true };
    const { format, reading, rows, columns } = contents;
    const { sha256, bytes } = digestOf(csv);
    const content = { sha256, bytes, reading, rows, columns: columns.map(({ summary }) => summary) };
    const columns_sha256 = await writeColumnFile(columnsPath, content, columns);
    return { content: { format, ...content, columns_sha256 } };
  } catch (error) {
    if (error instanceof InvalidDataset) return { refused: { message: error.message, line: error.line } };
    if (error instanceof DatasetTooLarge) return { tooLarge: { limitBytes: error.limitBytes } };
    throw error;
  }
}

/** The hash of the bytes as they came, before they are unpacked or decoded. */
function digestOf(path: string): { sha256: string; bytes: number } {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const chunk of storedBytes(path)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), bytes };
}
