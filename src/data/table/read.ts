/**
 * Reads a file of bytes as a table. What is not declared is detected, and then the whole reading is
 * known. A reading that is known already is repeated.
 */
import type { Column } from "../columns/column.ts";
import { TextRoom } from "../columns/kept-texts.ts";
import { InvalidDataset, MAX_TEXT_BYTES } from "../dataset.ts";
import { withKernels, type ReaderKernels } from "../kernels/reader.ts";
import { READER_VERSION, type Reading, type ReadingOptions } from "../reading.ts";
import { TableColumns } from "../columns/table-columns.ts";
import { Assembler, type BatchSink, type Sink } from "./assemble.ts";
import { Decoder, inUtf8 } from "./decode.ts";
import { checkTypes, namesOf, RowNumbers } from "./header.ts";
import type { RowBatch } from "./row-batch.ts";
import { RowReader } from "./row-reader.ts";
import { RowSplitter } from "./rows.ts";
import { detectSeparator, separatorLine } from "./separator.ts";
import { survey } from "./survey.ts";
import { atMost, passingBytes } from "./unpack.ts";

export interface Table {
  readonly reading: Reading;
  readonly rows: number;
  readonly columns: Column[];
}

/** How the rows are read. */
interface Layout extends Pick<Reading, "version" | "separator" | "encoding" | "header" | "comment"> {
  /** The length of the line that names the separator, which is ASCII; 0 if there is none. */
  readonly skip: number;
  /** Of the whole file. */
  readonly bytes: number;
}

/**
 * @param limitBytes of the bytes when they are unpacked
 * @param keepsTexts whether the texts of columns without classes are kept
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readTable(
  path: string,
  asked: ReadingOptions | Reading,
  limitBytes = Infinity,
  keepsTexts = true,
): Promise<Table> {
  return await withKernels((kernels) => readWith(kernels, path, asked, limitBytes, keepsTexts));
}

async function readWith(
  kernels: ReaderKernels,
  path: string,
  asked: ReadingOptions | Reading,
  limitBytes: number,
  keepsTexts: boolean,
): Promise<Table> {
  const layout = await layoutOf(atMost(passingBytes(path), limitBytes), asked);
  const table = new TableInTheMaking(layout, asked, keepsTexts ? new TextRoom(MAX_TEXT_BYTES) : null);
  await readRows(path, layout, kernels, table);
  const { decimal, proved, again } = table.columns.settle();
  if (again) await readRows(path, layout, kernels, new TableAgain(table.columns));
  const { skip: _, bytes: __, ...known } = layout;
  const reading = {
    ...known,
    decimal,
    decimal_proved: proved,
    missing_values: asked.missing_values,
    columns: table.types,
  };
  return { reading, rows: table.rowCount, columns: table.columns.finish() };
}

async function layoutOf(bytes: AsyncIterable<Buffer>, asked: ReadingOptions | Reading): Promise<Layout> {
  const version = "version" in asked ? asked.version : READER_VERSION;
  const { comment } = asked;
  const found = await survey(bytes, asked.encoding);
  const text = new Decoder(found.encoding).decode(found.start);
  const named = version > 1 ? separatorLine(text) : null;
  const skip = named?.length ?? 0;
  const header = asked.header ?? true;
  const separator =
    asked.separator ??
    named?.separator ??
    detectSeparator(text.slice(skip), { isWhole: found.isWhole, version, comment, header });
  return { version, separator, encoding: found.encoding, header, comment, skip, bytes: found.bytes };
}

async function readRows(path: string, layout: Layout, kernels: ReaderKernels, sink: BatchSink): Promise<void> {
  let { skip } = layout;
  const reader = new RowReader(layout, sink, kernels, skip > 0 ? 2 : 1, layout.bytes);
  for await (const chunk of inUtf8(passingBytes(path), layout.encoding)) {
    reader.push(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
  reader.end();
}

/**
 * Gives the rows of a table that is in memory to `sink`, read as a dataset's were.
 * @throws InvalidDataset, and what `sink` throws
 */
export function readText(bytes: Buffer, reading: Reading, sink: Sink): void {
  const text = decoded(bytes, reading.encoding);
  const skip = (reading.version > 1 ? separatorLine(text) : null)?.length ?? 0;
  const assembler = new Assembler(reading, sink);
  const splitter = new RowSplitter(
    reading,
    (cells, line, blank) => assembler.add(cells, line, blank),
    skip > 0 ? 2 : 1,
  );
  splitter.push(text.slice(skip));
  splitter.end();
  assembler.end();
}

function decoded(bytes: Buffer, encoding: Reading["encoding"]): string {
  try {
    const decoder = new Decoder(encoding, true);
    return decoder.decode(bytes) + decoder.end();
  } catch {
    throw new InvalidDataset(`The bytes are not ${encoding}, which the job's dataset is.`, null);
  }
}

/** Takes the rows when the table is read for the first time. */
class TableInTheMaking implements BatchSink {
  readonly #layout: Layout;
  readonly #asked: ReadingOptions | Reading;
  readonly #texts: TextRoom | null;
  #numbers: RowNumbers | null = null;
  #columns: TableColumns | null = null;
  #types: Reading["columns"] = {};
  #rows = 0;

  constructor(layout: Layout, asked: ReadingOptions | Reading, texts: TextRoom | null) {
    this.#layout = layout;
    this.#texts = texts;
    this.#asked = asked;
  }

  begin(cells: string[], line: number): void {
    const { names, index } = namesOf(cells, line, this.#asked.header !== null);
    const declared = this.#asked.columns ?? {};
    checkTypes(declared, names, line);
    const types = index === null ? declared : { [index]: "ignore" as const, ...declared };
    // The order is fixed, because readings are compared.
    this.#types = Object.fromEntries(
      names.filter((name) => Object.hasOwn(types, name)).map((name) => [name, types[name]]),
    );
    if (index !== null) this.#numbers = new RowNumbers(line);
    this.#columns = new TableColumns(names, {
      version: this.#layout.version,
      decimal: declaredMark(this.#asked),
      missingValues: this.#asked.missing_values,
      types: this.#types,
      pointMayGroup: this.#layout.separator === ";",
      texts: this.#texts,
    });
  }

  row(cells: readonly string[], line: number): void {
    this.#numbers?.add(cells[0], line);
    this.columns.add(cells, line);
    this.#rows++;
  }

  rows(batch: RowBatch): void {
    this.#numbers?.addBatch(batch);
    this.columns.addBatch(batch);
    this.#rows += batch.rows;
  }

  get columns(): TableColumns {
    if (this.#columns === null) throw new Error("The columns have no names yet.");
    return this.#columns;
  }

  get types(): Reading["columns"] {
    return this.#types;
  }

  get rowCount(): number {
    return this.#rows;
  }
}

/** Takes the rows once more, for the columns that need them. */
class TableAgain implements BatchSink {
  readonly #columns: TableColumns;

  constructor(columns: TableColumns) {
    this.#columns = columns;
  }

  begin(): void {}

  row(cells: readonly string[]): void {
    this.#columns.addAgain(cells);
  }

  rows(batch: RowBatch): void {
    this.#columns.addBatchAgain(batch);
  }
}

/** A mark that nothing proved is detected again. It does not count as declared. */
function declaredMark(asked: ReadingOptions | Reading): Reading["decimal"] | null {
  return "decimal_proved" in asked && !asked.decimal_proved ? null : asked.decimal;
}
