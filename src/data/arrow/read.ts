/*
 * Arrow: a table in columns, as it lies in memory, in a file (also called Feather) or as a stream.
 * Both are a sequence of messages: the schema, dictionaries, and batches of rows. A file has a
 * directory of them besides, at its end, which is not needed to read all of it. Its dictionaries
 * may lie anywhere, and are read before its batches.
 *
 * apache-arrow reads the messages. It believes what they claim, so each one is checked before
 * (messages.ts): all claims stand in the messages, none within the values. One batch is in memory
 * at a time, besides the values that are kept.
 */
import type { Field, RecordBatch } from "apache-arrow";
import { CELL_BYTES, ColumnBuilder, tableOf, type BuiltColumn } from "../columnar/builder.ts";
import { asDamage } from "../columnar/damage.ts";
import { openSource, type Source } from "../columnar/source.ts";
import type { Column } from "../columns/column.ts";
import { TextRoom } from "../columns/kept-texts.ts";
import { DatasetTooLarge, InvalidDataset, MAX_TEXT_BYTES } from "../dataset.ts";
import { columnOf, type ArrowColumn } from "./columns.ts";
import { checkedMessages, FILE_MAGIC, prefixOf, STREAM_MAGIC, type Messages } from "./messages.ts";

export function isArrow(start: Buffer): boolean {
  const isStream = start.subarray(0, STREAM_MAGIC.length).equals(STREAM_MAGIC) && start.length > 8;
  return isStream || start.subarray(0, FILE_MAGIC.length).equals(FILE_MAGIC);
}

/**
 * @param file its path, or its bytes
 * @param limitBytes of its buffers when they are unpacked
 * @param keepsTexts whether the texts of columns without classes are kept
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readArrow(
  file: string | Buffer,
  limitBytes: number,
  keepsTexts = true,
): Promise<{ rows: number; columns: Column[] }> {
  const source = await openSource(file);
  try {
    const messages = await checkedMessages(source, { bytes: limitBytes, limitBytes });
    const { rows, names } = messages;
    if (rows === 0) throw new InvalidDataset("The Arrow file has no rows.", null);
    if (rows * names.length * CELL_BYTES > limitBytes) throw new DatasetTooLarge(limitBytes);
    const texts = keepsTexts ? new TextRoom(MAX_TEXT_BYTES) : null;
    return { rows, columns: tableOf(await readColumns(source, messages, texts), texts) };
  } catch (error) {
    throw asDamage("Arrow", error);
  } finally {
    await source.close();
  }
}

async function readColumns(source: Source, messages: Messages, texts: TextRoom | null): Promise<BuiltColumn[]> {
  const builders: (ColumnBuilder | null)[] = [];
  const open = (fields: readonly Field[]) => {
    const columns = fields.map(columnOf);
    builders.push(...columns.map(({ name, type }) => new ColumnBuilder(name, type, messages.rows, texts)));
    return columns;
  };
  await eachBatch(source, messages, open, builders);
  const again = builders.map((builder) => (builder?.needsTexts ? builder.ofTexts() : null));
  if (again.some((builder) => builder !== null))
    await eachBatch(source, messages, (fields) => fields.map(columnOf), again);
  return builders.map((builder, i) => (again[i] ?? builder!).finish());
}

/** Gives each builder the values of its column. Null: they are not needed. */
async function eachBatch(
  source: Source,
  messages: Messages,
  open: (fields: readonly Field[]) => ArrowColumn[],
  builders: readonly (ColumnBuilder | null)[],
): Promise<void> {
  const { RecordBatchReader } = await import("./library.ts");
  const reader = await RecordBatchReader.from(bytesOf(source, messages));
  await reader.open();
  const columns = open(reader.schema.fields);
  let row = 0;
  for await (const batch of reader as AsyncIterable<RecordBatch>) {
    for (const [i, column] of columns.entries()) {
      const builder = builders[i];
      if (builder !== null) addValues(column, batch, i, builder, row);
    }
    row += batch.numRows;
  }
}

function addValues(column: ArrowColumn, batch: RecordBatch, index: number, builder: ColumnBuilder, begin: number) {
  try {
    const valueAt = column.valuesOf(batch.data.children[index]);
    for (let i = 0; i < batch.numRows; i++) builder.add(valueAt(i), begin + i);
  } catch (error) {
    throw asDamage("Arrow", error, column.name);
  }
}

async function* bytesOf(source: Source, { places }: Messages): AsyncGenerator<Uint8Array> {
  for (const { begin, end, hasPrefix } of places) {
    if (!hasPrefix) yield prefixOf(end - begin);
    yield await source.read(begin, end);
  }
}
