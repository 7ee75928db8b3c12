/** What the bytes of a dataset are: their first bytes tell, whatever the client calls them. */
import { isArrow, readArrow } from "./arrow/read.ts";
import type { AnyColumn } from "./columns/column.ts";
import { InvalidDataset, type DatasetFormat, type PlainFormat } from "./dataset.ts";
import { isParquet, readParquet } from "./parquet/read.ts";
import type { Reading, ReadingOptions } from "./reading.ts";
import { readTable } from "./table/read.ts";
import { atMost, isGzipFile, tableBytes } from "./table/unpack.ts";
import { ByteReader } from "./tensors/byte-reader.ts";
import { isIdx, readIdx } from "./tensors/idx.ts";
import { isNpy, readNpy } from "./tensors/npy.ts";
import { isZip, readNpz } from "./tensors/npz.ts";
import { isSafetensors, readSafetensors } from "./tensors/safetensors.ts";
import { tensorColumns } from "./tensors/tensor-column.ts";
import { readText } from "./text/read.ts";

/** The name of an array in a file that gives none. */
const UNNAMED = "values";
/** Enough to recognise any format. */
const START_BYTES = 16;

export interface Contents {
  readonly format: DatasetFormat;
  readonly reading: Reading | null;
  readonly rows: number;
  readonly columns: AnyColumn[];
}

/**
 * Null if the bytes are of no format that is recognised, and `plain` is null too.
 * @param limitBytes of the bytes when they are unpacked
 * @param keepsTexts whether the texts of columns without classes are kept
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readContents(
  path: string,
  asked: ReadingOptions | Reading,
  plain: PlainFormat,
  limitBytes: number,
  keepsTexts: boolean,
): Promise<Contents | null> {
  const recognised = await readRecognised(path, asked, plain, limitBytes, keepsTexts);
  if (recognised !== null) return { ...recognised, reading: null };
  return plain === "csv" ? { format: "csv", ...(await readTable(path, asked, limitBytes, keepsTexts)) } : null;
}

async function readRecognised(
  path: string,
  asked: ReadingOptions | Reading,
  plain: PlainFormat,
  limitBytes: number,
  keepsTexts: boolean,
): Promise<Omit<Contents, "reading"> | null> {
  const reader = new ByteReader(atMost(tableBytes(path), limitBytes));
  try {
    const format = formatOf(await reader.peek(START_BYTES)) ?? (plain === "text" ? plain : null);
    if (format === null) return null;
    refuseReading(asked, format);
    // Some describe themselves at their end.
    const whole = async () => ((await isGzipFile(path)) ? await reader.rest() : path);
    switch (format) {
      case "npy":
        return { format, ...(await tensorColumns([await readNpy(reader, UNNAMED, limitBytes)])) };
      case "idx":
        return { format, ...(await tensorColumns([await readIdx(reader, UNNAMED, limitBytes)])) };
      case "safetensors":
        return { format, ...(await tensorColumns(readSafetensors(reader, limitBytes))) };
      case "npz":
        return { format, ...(await tensorColumns(readNpz(await whole(), limitBytes))) };
      case "parquet":
        return { format, ...(await readParquet(await whole(), limitBytes, keepsTexts)) };
      case "arrow":
        return { format, ...(await readArrow(await whole(), limitBytes, keepsTexts)) };
      case "text":
        return { format, ...readText(await reader.rest()) };
    }
  } finally {
    await reader.close();
  }
}

type Recognised = Exclude<DatasetFormat, "csv" | "text">;

/** The format of bytes that begin so. */
function formatOf(start: Buffer): Recognised | null {
  if (isNpy(start)) return "npy";
  if (isSafetensors(start)) return "safetensors";
  if (isIdx(start)) return "idx";
  if (isParquet(start)) return "parquet";
  if (isArrow(start)) return "arrow";
  return isZip(start) ? "npz" : null;
}

const names: Partial<Record<DatasetFormat, string>> = {
  text: "is a text",
  parquet: "is a Parquet file",
  arrow: "is an Arrow file",
};

/** What is asked of CSV tables says nothing of others. */
function refuseReading(asked: ReadingOptions | Reading, format: Recognised | "text"): void {
  if ("version" in asked) return;
  if (format === "text" && asked.encoding !== null && asked.encoding !== "utf-8")
    throw new InvalidDataset(
      `A text must be UTF-8, and the request says ${asked.encoding}. Save the text as UTF-8.`,
      null,
    );
  // An encoding may come from the Content-Type, so it does not count.
  const options = (["separator", "decimal", "header", "comment", "missing_values", "columns"] as const).filter(
    (option) => asked[option] !== null,
  );
  if (options.length === 0) return;
  const said = options.map((option) => `?${option}=`).join(", ");
  throw new InvalidDataset(
    `The file ${names[format] ?? "holds arrays"}, and ${said} is for CSV tables: leave it out.`,
    null,
  );
}
