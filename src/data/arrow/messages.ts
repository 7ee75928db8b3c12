/*
 * The messages of an Arrow file or stream, checked before they are read. A message has a length,
 * a description (a table of FlatBuffers), and a body of buffers.
 *
 * A damaged or malicious description may claim any length, and refer to the same bytes many times.
 * So every list must fit into its description, all texts together too, and every buffer into the
 * body. Unpacked buffers count against the limit of a dataset.
 */
import { DictionaryBatch } from "apache-arrow/fb/dictionary-batch";
import { Footer } from "apache-arrow/fb/footer";
import { Message } from "apache-arrow/fb/message";
import { MessageHeader } from "apache-arrow/fb/message-header";
import { RecordBatch } from "apache-arrow/fb/record-batch";
import { Schema } from "apache-arrow/fb/schema";
import { ByteBuffer } from "flatbuffers";
import { DamagedFile } from "../columnar/damage.ts";
import { MAX_VALUES, spend, type Room } from "../columnar/room.ts";
import type { Source } from "../columnar/source.ts";
import { InvalidDataset } from "../dataset.ts";
import { checkMetadata, checkSchema, type CheckedField } from "./schema.ts";

export const FILE_MAGIC = Buffer.from("ARROW1\0\0");
/** Stands before every length. */
export const STREAM_MAGIC = Buffer.from([0xff, 0xff, 0xff, 0xff]);
const PREFIX_BYTES = 8;
/** The length of the directory, and the magic. */
const FILE_END_BYTES = 10;
const MAX_DESCRIPTION_BYTES = 2 ** 24;
const MAX_MESSAGES = 2 ** 17;

export interface Messages {
  readonly rows: number;
  readonly names: readonly string[];
  readonly places: readonly Place[];
}

/** Where a message begins and ends in the file. */
export interface Place {
  readonly begin: number;
  readonly end: number;
  /** False: Polars leaves it out before the schema of a file. */
  readonly hasPrefix: boolean;
}

/** @throws InvalidDataset, DamagedFile, DatasetTooLarge */
export async function checkedMessages(source: Source, room: Room): Promise<Messages> {
  const [places, dictionaries]: [Place[], Place[]] = [[], []];
  const known = new Set<bigint>();
  let fields: CheckedField[] | null = null;
  let rows = 0;
  let begin = await beginOf(source);
  const isFile = begin > 0;
  for (;;) {
    const found = await nextMessage(source, begin);
    if (found === null) break;
    const { message, bytes, bodyBegin, bodyBytes } = found;
    if (fields === null) fields = schemaOf(message, bytes);
    else rows += await checkRows(source, found, fields.length, room);
    begin = bodyBegin + bodyBytes;
    const comesFirst = isFile && message.headerType() === MessageHeader.DictionaryBatch;
    if (comesFirst) checkNew(message.header(new DictionaryBatch()) as DictionaryBatch, known);
    (comesFirst ? dictionaries : places).push({ begin: found.begin, end: begin, hasPrefix: found.hasPrefix });
    if (places.length + dictionaries.length > MAX_MESSAGES)
      throw new InvalidDataset(
        `The Arrow file has more than ${MAX_MESSAGES} batches and dictionaries. Write larger batches.`,
        null,
      );
  }
  if (fields === null) throw new DamagedFile("it has no schema");
  const [schema, ...batches] = places;
  return { rows, names: fields.map(({ name }) => name), places: [schema, ...dictionaries, ...batches] };
}

/** In a file a dictionary is that of all batches, wherever it lies: Polars writes it after them. */
function checkNew(dictionary: DictionaryBatch, known: Set<bigint>): void {
  if (known.has(dictionary.id()) && !dictionary.isDelta())
    throw new InvalidDataset("The Arrow file replaces a dictionary, which only a stream may do. Write a stream.", null);
  known.add(dictionary.id());
}

interface FoundMessage {
  readonly message: Message;
  readonly begin: number;
  readonly hasPrefix: boolean;
  /** Of its description. */
  readonly bytes: number;
  readonly bodyBegin: number;
  readonly bodyBytes: number;
}

/** Null: the end is marked. */
async function nextMessage(source: Source, begin: number): Promise<FoundMessage | null> {
  const prefix = await part(source, begin, begin + PREFIX_BYTES);
  const hasPrefix = prefix.subarray(0, 4).equals(STREAM_MAGIC);
  if (!hasPrefix && begin !== FILE_MAGIC.length) throw new DamagedFile("a message does not begin where it should");
  const length = hasPrefix ? prefix.readInt32LE(4) : (await firstBlock(source)) - begin;
  if (length === 0) return null;
  if (length < 0 || length > MAX_DESCRIPTION_BYTES)
    throw new DamagedFile(`the description of a message claims ${length} bytes`);
  const descriptionBegin = hasPrefix ? begin + PREFIX_BYTES : begin;
  const bodyBegin = descriptionBegin + length;
  const description = await part(source, descriptionBegin, bodyBegin);
  const message = Message.getRootAsMessage(new ByteBuffer(description));
  const bodyBytes = Number(message.bodyLength());
  if (!(bodyBytes >= 0 && bodyBegin + bodyBytes <= source.size))
    throw new DamagedFile("the body of a message is cut off");
  checkMetadata(message, { bytes: length });
  return { message, begin, hasPrefix, bytes: length, bodyBegin, bodyBytes };
}

/** Where the first batch or dictionary begins, as the directory of the file says. */
async function firstBlock(source: Source): Promise<number> {
  const end = source.size - FILE_END_BYTES;
  const length = (await part(source, end, end + 4)).readInt32LE();
  if (length <= 0 || length > Math.min(end, MAX_DESCRIPTION_BYTES)) throw new DamagedFile("its directory is cut off");
  const footer = Footer.getRootAsFooter(new ByteBuffer(await part(source, end - length, end)));
  const blocks = [footer.dictionaries(0), footer.recordBatches(0)].filter((block) => block !== null);
  return blocks.reduce((first, block) => Math.min(first, Number(block.offset())), end - length);
}

function schemaOf(message: Message, bytes: number): CheckedField[] {
  if (message.headerType() !== MessageHeader.Schema) throw new DamagedFile("it does not begin with a schema");
  return checkSchema(message.header(new Schema()) as Schema | null, bytes);
}

/** Returns how many rows of the table a message has. */
async function checkRows(source: Source, found: FoundMessage, columns: number, room: Room): Promise<number> {
  const { message, bytes, bodyBegin, bodyBytes } = found;
  const isDictionary = message.headerType() === MessageHeader.DictionaryBatch;
  if (!isDictionary && message.headerType() !== MessageHeader.RecordBatch)
    throw new DamagedFile("there is something else between its batches");
  const batch = isDictionary
    ? (message.header(new DictionaryBatch()) as DictionaryBatch | null)?.data()
    : (message.header(new RecordBatch()) as RecordBatch | null);
  if (batch === null || batch === undefined) throw new DamagedFile("a batch has no description");
  const rows = checkBatch(batch, isDictionary ? 1 : columns, bodyBytes, bytes);
  await spendBuffers(source, batch, bodyBegin, room);
  if (!isDictionary) return rows;
  if (rows > MAX_VALUES)
    throw new InvalidDataset(`A dictionary of the Arrow file holds ${rows} values; it may hold ${MAX_VALUES}.`, null);
  return 0;
}

export function prefixOf(length: number): Uint8Array {
  const prefix = Buffer.from([...STREAM_MAGIC, 0, 0, 0, 0]);
  prefix.writeInt32LE(length, 4);
  return prefix;
}

async function beginOf(source: Source): Promise<number> {
  const magic = FILE_MAGIC.subarray(0, 6);
  const start = Buffer.from(await source.read(0, Math.min(source.size, FILE_MAGIC.length)));
  if (!start.subarray(0, 6).equals(magic)) return 0;
  const end = Buffer.from(await source.read(Math.max(0, source.size - magic.length), source.size));
  if (!end.equals(magic) || source.size < 2 * FILE_MAGIC.length)
    throw new InvalidDataset("The Arrow file is cut off: its last six bytes are not ARROW1.", null);
  return FILE_MAGIC.length;
}

async function part(source: Source, begin: number, end: number): Promise<Buffer> {
  if (begin < 0 || end > source.size) throw new DamagedFile("it ends before its last message");
  const bytes = await source.read(begin, end);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @param bytesEach that an item takes at least */
function checkCount(count: number, bytesEach: number, bytes: number): void {
  if (count * Math.max(4, bytesEach) > bytes) throw new DamagedFile(`a list in a message claims ${count} items`);
}

/** Flat columns have a node each. Returns how many rows there are. */
function checkBatch(batch: RecordBatch, columns: number, bodyBytes: number, bytes: number): number {
  const rows = Number(batch.length());
  checkCount(batch.nodesLength(), 16, bytes);
  checkCount(batch.buffersLength(), 16, bytes);
  checkCount(batch.variadicBufferCountsLength(), 8, bytes);
  if (batch.nodesLength() !== columns) throw new DamagedFile("a batch has not the columns of the schema");
  for (let i = 0; i < columns; i++) {
    const node = batch.nodes(i)!;
    const nulls = Number(node.nullCount());
    if (Number(node.length()) !== rows || !(rows >= 0 && nulls >= 0 && nulls <= rows))
      throw new DamagedFile("a column has not the rows of its batch");
  }
  let variadic = 0;
  for (let i = 0; i < batch.variadicBufferCountsLength(); i++) variadic += Number(batch.variadicBufferCounts(i));
  if (!(variadic >= 0 && variadic <= batch.buffersLength())) throw new DamagedFile("a column claims too many buffers");
  for (let i = 0; i < batch.buffersLength(); i++) {
    const [begin, length] = [Number(batch.buffers(i)!.offset()), Number(batch.buffers(i)!.length())];
    if (!(begin >= 0 && length >= 0 && begin + length <= bodyBytes))
      throw new DamagedFile("a buffer lies outside of its message");
  }
  return rows;
}

/** A packed buffer begins with its length when it is unpacked; -1: it is not packed. */
async function spendBuffers(source: Source, batch: RecordBatch, bodyBegin: number, room: Room): Promise<void> {
  const isPacked = batch.compression() !== null;
  for (let i = 0; i < batch.buffersLength(); i++) {
    const buffer = batch.buffers(i)!;
    const length = Number(buffer.length());
    const begin = bodyBegin + Number(buffer.offset());
    if (!isPacked || length === 0) spend(room, length);
    else {
      const unpacked = Number((await part(source, begin, begin + 8)).readBigInt64LE());
      if (length < 8 || unpacked < -1) throw new DamagedFile("a packed buffer has no length");
      spend(room, unpacked === -1 ? length : unpacked);
    }
  }
}
