/*
 * The rows of a table in the order of the keys of a set, for threads that share them. It is made
 * once for a set. Then the rows of a key lie side by side in every column, and are a table in
 * memory by themselves: to take them costs nothing, and the code of plain jobs encodes them.
 *
 * It has the columns that the models need, with the types that the spec declares. It can be sent to
 * a thread: all that grows with the rows or the keys is in shared memory.
 */
import type { DatasetSummary, TablePath } from "../beside.ts";
import type { DataSpec } from "./encoding.ts";
import { featuresOf, isArray, partitionColumns, ruleColumns, targetColumns, windowColumns } from "./features.ts";
import type { TableSummary } from "./features.ts";
import { missingIn, ViewedFile } from "./viewed-file.ts";
import type { Columns } from "../files/beside-files.ts";
import type { TensorValues } from "../tensors/elements.ts";
import { size } from "../../engine/member/shape.ts";
import { partitionRows, type Key } from "./keys.ts";

export interface PartitionedTable {
  /** Of all rows that the set sees, with the types that its spec declares. */
  readonly content: TableSummary;
  readonly keys: number;
  /** How many rows lack a value of the key, and are in no model. */
  readonly missing: number;
  /** Where the rows of each key begin, and where the last one's end. */
  readonly offsets: Uint32Array;
  /** Where the text of each key begins in `keyTexts`, and where the last one's ends. */
  readonly keyOffsets: Uint32Array;
  /** The keys as JSON. */
  readonly keyTexts: Uint8Array;
  /** By the number of the column. */
  readonly columns: ReadonlyMap<number, PartitionedColumn>;
}

export interface PartitionedColumn {
  readonly values: Float64Array | Uint16Array | TensorValues;
  /** Elements of a row. */
  readonly width: number;
}

/** @throws DamagedFile, and Error if the table does not fit the spec */
export function partitionTable(table: TablePath, data: DataSpec): Promise<PartitionedTable> {
  return ViewedFile.with(
    table,
    data,
    async (file) => (await partitionFile(file, data, neededColumns(file.content, data))).table,
  );
}

/** With these columns alone. `order`: the number in the file of each row. */
export async function partitionFile(
  file: ViewedFile,
  data: DataSpec,
  names: readonly string[],
): Promise<{ table: PartitionedTable; order: Int32Array }> {
  const { order, offsets, missing, key } = await orderOf(file, partitionColumns(data));
  const ordered = file.inOrder(order);
  const columns = new Map<number, PartitionedColumn>();
  for (const name of names) {
    const index = file.index(name);
    if (columns.has(index)) continue;
    const summary = file.content.columns[index];
    const values = isArray(summary) ? await ordered.elements(index) : await ordered.values(index);
    columns.set(index, { values: shared(values), width: isArray(summary) ? size(summary.shape) : 1 });
  }
  const { content } = file;
  const keys = { keys: offsets.length - 1, missing, offsets: shared(offsets), ...keyTexts(offsets, key) };
  return { table: { content, ...keys, columns }, order };
}

/** The columns of whose values the models are made. */
function neededColumns(content: TableSummary, data: DataSpec): string[] {
  const { weight, validation, test } = data;
  return [
    ...featuresOf(content, data),
    ...targetColumns(data),
    ...ruleColumns(validation),
    ...ruleColumns(test),
    ...(weight === null ? [] : [weight]),
    ...windowColumns(data),
  ];
}

interface Order {
  /** The rows of one key after the other, each key's in the order of the file. */
  readonly order: Int32Array;
  readonly offsets: Uint32Array;
  readonly missing: number;
  key(n: number): Key;
}

async function orderOf(file: ViewedFile, names: readonly string[]): Promise<Order> {
  if (names.length === 0) {
    const order = Int32Array.from({ length: file.rows }, (_, row) => row);
    return { order, offsets: Uint32Array.of(0, file.rows), missing: 0, key: () => ({}) };
  }
  const { keys, missing, key, rows } = await partitionRows(file, names);
  const order = new Int32Array(file.rows - missing);
  const offsets = new Uint32Array(keys + 1);
  for (let n = 0; n < keys; n++) {
    const own = rows(n);
    order.set(own, offsets[n]);
    offsets[n + 1] = offsets[n] + own.length;
  }
  return { order, offsets, missing, key };
}

function keyTexts({ length }: Uint32Array, key: Order["key"]) {
  const texts = Array.from({ length: length - 1 }, (_, n) => Buffer.from(JSON.stringify(key(n))));
  const keyOffsets = new Uint32Array(length);
  for (const [n, text] of texts.entries()) keyOffsets[n + 1] = keyOffsets[n] + text.length;
  return { keyOffsets: shared(keyOffsets), keyTexts: shared(new Uint8Array(Buffer.concat(texts))) };
}

type Values = Float64Array | Uint16Array | Uint32Array | TensorValues;

function shared<T extends Values>(values: T): T {
  const copy = new (values.constructor as new (buffer: SharedArrayBuffer) => T)(
    new SharedArrayBuffer(values.byteLength),
  );
  copy.set(values as never);
  return copy;
}

export function keyOf({ keyOffsets, keyTexts }: PartitionedTable, n: number): Key {
  return JSON.parse(Buffer.from(keyTexts.subarray(keyOffsets[n], keyOffsets[n + 1])).toString()) as Key;
}

/** How many rows a key has. */
export function rowsOfKey({ offsets }: PartitionedTable, n: number): number {
  return offsets[n + 1] - offsets[n];
}

/** The rows of each key as a table: what a job with `where` sees. */
export class KeyTables {
  readonly #table: PartitionedTable;
  readonly #whole: ViewedFile;
  /** The numbers of the columns that miss cells. */
  readonly #lacking: readonly number[];

  constructor(table: PartitionedTable) {
    const { content, columns } = table;
    this.#table = table;
    this.#whole = ViewedFile.over(new KeyColumns(table, 0), content);
    this.#lacking = [...columns.keys()].filter((index) => content.columns[index].missing > 0);
  }

  of(key: number): ViewedFile {
    const { content } = this.#table;
    const part = new KeyColumns(this.#table, key);
    const columns = this.#lacking.length === 0 ? content.columns : [...content.columns];
    for (const index of this.#lacking)
      columns[index] = { ...columns[index], missing: missingIn(part.values(index) as Float64Array | Uint16Array) };
    return this.#whole.part(part, { ...content, rows: rowsOfKey(this.#table, key), columns });
  }
}

class KeyColumns implements Columns {
  readonly content: DatasetSummary;
  readonly #columns: PartitionedTable["columns"];
  readonly #begin: number;
  readonly #end: number;

  constructor({ content, columns, offsets }: PartitionedTable, key: number) {
    this.content = content;
    this.#columns = columns;
    this.#begin = offsets[key];
    this.#end = offsets[key + 1];
  }

  values(index: number): PartitionedColumn["values"] {
    const { values, width } = this.#columns.get(index)!;
    return values.subarray(this.#begin * width, this.#end * width);
  }

  async numbers(index: number): Promise<Float64Array> {
    return this.values(index) as Float64Array;
  }

  async codes(index: number): Promise<Uint16Array> {
    return this.values(index) as Uint16Array;
  }

  async elements(index: number): Promise<TensorValues> {
    return this.values(index) as TensorValues;
  }

  scan(): never {
    throw noTexts;
  }

  async texts(): Promise<never> {
    throw noTexts;
  }

  async text(): Promise<never> {
    throw noTexts;
  }
}

const noTexts = new Error("The table of a set has no texts.");
