/**
 * Parquet files of a hundred bytes that claim millions of values: one column named x, in one page.
 */

/** The numbers of the format. */
const TYPE = { BOOLEAN: 0, INT64: 2, BYTE_ARRAY: 6 };
const ENCODING = { PLAIN: 0, RLE: 3, DELTA_BINARY_PACKED: 5, DELTA_LENGTH_BYTE_ARRAY: 6, DELTA_BYTE_ARRAY: 7 };

interface HostileFile {
  readonly type: keyof typeof TYPE;
  readonly encoding: keyof typeof ENCODING;
  readonly rows: number;
  readonly isNullable?: boolean;
  readonly data: readonly number[];
}

export function hostileFile({ type, encoding, rows, isNullable = false, data }: HostileFile): Buffer {
  const header = struct(
    [1, I32, zigzag(0)],
    [2, I32, zigzag(data.length)],
    [3, I32, zigzag(data.length)],
    [5, STRUCT, struct([1, I32, zigzag(rows)], [2, I32, zigzag(ENCODING[encoding])])],
  );
  const page = [...header, ...data];
  const column = struct(
    [1, I32, zigzag(TYPE[type])],
    [3, LIST, [0x18, ...text("x")]],
    [4, I32, zigzag(0)],
    [7, I64, zigzag(page.length)],
    [9, I64, zigzag(4)],
  );
  const group = struct([1, LIST, [0x1c, ...struct([3, STRUCT, column])]], [3, I64, zigzag(rows)]);
  const root = struct([4, BINARY, text("root")], [5, I32, zigzag(1)]);
  const element = struct([1, I32, zigzag(TYPE[type])], [3, I32, zigzag(isNullable ? 1 : 0)], [4, BINARY, text("x")]);
  const description = struct([2, LIST, [0x2c, ...root, ...element]], [4, LIST, [0x1c, ...group]]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(description.length);
  return Buffer.concat([Buffer.from("PAR1"), Buffer.from([...page, ...description]), length, Buffer.from("PAR1")]);
}

/** One value so many times, as levels and booleans are packed, after the length in bytes. */
export function run(value: number, times: number): number[] {
  const packed = [...varint(2 * times), value];
  return [packed.length, 0, 0, 0, ...packed];
}

/** So many numbers from `first` with equal steps, in one block of differences. */
export function steps(first: number, step: number, count: number): number[] {
  return [...varint(2 ** 27), ...varint(1), ...varint(count), ...zigzag(first), ...zigzag(step), 0];
}

const [I32, I64, BINARY, LIST, STRUCT] = [5, 6, 8, 9, 12];

/** The compact protocol of Thrift. */
function struct(...fields: readonly (readonly [id: number, type: number, bytes: readonly number[]])[]): number[] {
  const headers = fields.map(([id, type], i) => ((id - (fields[i - 1]?.[0] ?? 0)) << 4) | type);
  return [...fields.flatMap(([, , bytes], i) => [headers[i], ...bytes]), 0];
}

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value)];
}

function zigzag(value: number): number[] {
  return varint(2 * value);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [128 + (value % 128), ...varint(Math.floor(value / 128))];
}
