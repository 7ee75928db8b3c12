/*
 * IDX, the format of MNIST: two zero bytes, the type of the elements, the number of dimensions, the
 * size of each dimension as a big-endian integer of 32 bits, and the elements, row-major and
 * big-endian. http://yann.lecun.com/exdb/mnist/
 */
import { DatasetTooLarge, InvalidDataset } from "../dataset.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { Dtype } from "./dtype.ts";
import { fileBytes, type RawArray } from "./elements.ts";

const dtypes: Readonly<Record<number, Dtype>> = {
  0x08: "uint8",
  0x09: "int8",
  0x0b: "int16",
  0x0c: "int32",
  0x0d: "float32",
  0x0e: "float64",
};
const MAGIC_BYTES = 4;

/** No text begins with two zero bytes. */
export function isIdx(start: Buffer): boolean {
  return (
    start.length >= MAGIC_BYTES && start[0] === 0 && start[1] === 0 && Object.hasOwn(dtypes, start[2]) && start[3] > 0
  );
}

/**
 * @param name of the array
 * @param limitBytes of its elements
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readIdx(reader: ByteReader, name: string, limitBytes: number): Promise<RawArray> {
  const fault = (message: string) => new InvalidDataset(`The IDX file ${message}`, null);
  const magic = await reader.take(MAGIC_BYTES);
  const [dtype, dimensions] = [dtypes[magic[2]], magic[3]];
  const sizes = await reader.take(4 * dimensions);
  if (sizes.length < 4 * dimensions) throw fault("is cut off within its header.");
  const shape = Array.from({ length: dimensions }, (_, i) => sizes.readUInt32BE(4 * i));
  const length = shape.reduce((product, dimension) => product * dimension, fileBytes(dtype));
  if (length > limitBytes) throw new DatasetTooLarge(limitBytes);
  const bytes = new ArrayBuffer(length);
  const came = await reader.readInto(new Uint8Array(bytes));
  if (came < length)
    throw fault(`is cut off: its shape [${shape.join(", ")}] takes ${length} bytes, and it has ${came}.`);
  if (!(await reader.isAtEnd()))
    throw fault(`goes on after the ${length} bytes that its shape [${shape.join(", ")}] takes.`);
  return { name, dtype, shape, isBigEndian: true, isColumnMajor: false, bytes };
}
