/** Files of arrays, built byte by byte to the letter of their formats. */
import { crc32, deflateRawSync } from "node:zlib";

export interface Npy {
  readonly descr: string;
  readonly shape: readonly number[];
  readonly data: Buffer;
  readonly fortran?: boolean;
}

export function npy({ descr, shape, data, fortran = false }: Npy): Buffer {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const order = fortran ? "True" : "False";
  return npyOf(`{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${tuple}, }`, data);
}

/** With any header. */
export function npyOf(header: string, data: Buffer): Buffer {
  const text = `${header.padEnd(117)}\n`;
  const start = Buffer.from("\x93NUMPY\x01\x00\x00\x00", "latin1");
  start.writeUInt16LE(text.length, 8);
  return Buffer.concat([start, Buffer.from(text, "latin1"), data]);
}

export function floats(...values: number[]): Buffer {
  return Buffer.from(new Float32Array(values).buffer);
}

export function longs(...values: (number | bigint)[]): Buffer {
  return Buffer.from(new BigInt64Array(values.map(BigInt)).buffer);
}

/** How the directory of an archive lies about its files. */
interface ZipOptions {
  readonly deflate?: boolean;
  readonly zip64?: boolean;
  readonly checksum?: number;
}

/** A zip archive: local headers with their data, the central directory, and its end. */
export function zip(files: Readonly<Record<string, Buffer>>, options: ZipOptions = {}): Buffer {
  const { deflate = false, zip64 = false } = options;
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, data] of Object.entries(files)) {
    const packed = deflate ? deflateRawSync(data) : data;
    const sizes = zip64 ? [0xffffffff, 0xffffffff] : [packed.length, data.length];
    const extra = zip64 ? zip64Extra(data.length, packed.length) : Buffer.alloc(0);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(zip64 ? 45 : 20, 0);
    common.writeUInt16LE(deflate ? 8 : 0, 4);
    common.writeUInt32LE(options.checksum ?? crc32(data), 10);
    common.writeUInt32LE(sizes[0], 14);
    common.writeUInt32LE(sizes[1], 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    common.writeUInt16LE(extra.length, 24);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), extra, packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, place, Buffer.from(name), extra]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

function zip64Extra(unpacked: number, packed: number): Buffer {
  const extra = Buffer.alloc(20);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(16, 2);
  extra.writeBigUInt64LE(BigInt(unpacked), 4);
  extra.writeBigUInt64LE(BigInt(packed), 12);
  return extra;
}

export interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Buffer;
}

export function safetensors(tensors: Readonly<Record<string, Tensor>>): Buffer {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const begin = at;
    at += data.length;
    return [name, { dtype, shape, data_offsets: [begin, at] }];
  });
  const header = { __metadata__: { format: "pt" }, ...Object.fromEntries(entries) };
  return safetensorsOf(JSON.stringify(header), ...Object.values(tensors).map(({ data }) => data));
}

/** With any header. */
export function safetensorsOf(header: string, ...data: Buffer[]): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([length, Buffer.from(header), ...data]);
}

export function idx(type: number, shape: readonly number[], data: Buffer): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header[2] = type;
  header[3] = shape.length;
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, data]);
}
