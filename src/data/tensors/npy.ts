/*
 * NPY, the file of one NumPy array (numpy.lib.format): a magic word, the version, and a header,
 * which is a Python dictionary such as
 *
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (1797, 8, 8), }
 *
 * The elements follow. Arrays of Python objects are pickled, which is a program that the reader
 * would have to run; they are refused, and so is every type that is no number.
 */
import { DatasetTooLarge, InvalidDataset } from "../dataset.ts";
import type { ByteReader } from "./byte-reader.ts";
import type { Dtype } from "./dtype.ts";
import { fileBytes, type RawArray } from "./elements.ts";

const MAGIC = Buffer.from("\x93NUMPY", "latin1");
/** NumPy itself reads 10,000 characters. */
const MAX_HEADER_BYTES = 65_536;

const dtypes: Readonly<Record<string, Dtype>> = {
  b1: "bool",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  f2: "float16",
  f4: "float32",
  f8: "float64",
};

export function isNpy(start: Buffer): boolean {
  return start.subarray(0, MAGIC.length).equals(MAGIC);
}

/**
 * @param name of the array
 * @param limitBytes of its elements
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function readNpy(reader: ByteReader, name: string, limitBytes: number): Promise<RawArray> {
  const fault = (message: string) => new InvalidDataset(`The array ${JSON.stringify(name)} ${message}`, null);
  const { descr, isColumnMajor, shape } = parseHeader(await headerOf(reader, fault), fault);
  const [, order, type] = /^([<>=|]?)([a-z]\d+)$/.exec(descr) ?? [];
  if (type === undefined || !Object.hasOwn(dtypes, type)) throw fault(wrongType(descr));
  const length = shape.reduce((product, dimension) => product * dimension, fileBytes(dtypes[type]));
  if (length > limitBytes) throw new DatasetTooLarge(limitBytes);
  const bytes = new ArrayBuffer(length);
  const came = await reader.readInto(new Uint8Array(bytes));
  if (came < length) throw fault(`is cut off: it has ${came} of ${length} bytes.`);
  if (!(await reader.isAtEnd()))
    throw fault("is followed by other bytes. Save several arrays in one file with numpy.savez.");
  return { name, dtype: dtypes[type], shape, isBigEndian: order === ">", isColumnMajor, bytes };
}

type Fault = (message: string) => InvalidDataset;

async function headerOf(reader: ByteReader, fault: Fault): Promise<string> {
  const start = await reader.take(MAGIC.length + 2);
  if (!isNpy(start)) throw fault("is no NPY file: it does not begin as one.");
  if (start.length < MAGIC.length + 2) throw fault("is cut off within its header.");
  const [major, minor] = [start[6], start[7]];
  if (![1, 2, 3].includes(major) || minor !== 0)
    throw fault(`has the NPY version ${major}.${minor}; 1.0, 2.0 and 3.0 can be read.`);
  const size = await reader.take(major === 1 ? 2 : 4);
  if (size.length < (major === 1 ? 2 : 4)) throw fault("is cut off within its header.");
  const length = major === 1 ? size.readUInt16LE() : size.readUInt32LE();
  if (length > MAX_HEADER_BYTES) throw fault(`has a header of ${length} bytes; it may have ${MAX_HEADER_BYTES}.`);
  const header = await reader.take(length);
  if (header.length < length) throw fault("is cut off within its header.");
  return header.toString(major === 3 ? "utf8" : "latin1");
}

function parseHeader(header: string, fault: Fault): { descr: string; isColumnMajor: boolean; shape: number[] } {
  const [, descr] = /['"]descr['"] ?: ?['"]([^'"]*)['"]/.exec(header) ?? [];
  const [, order] = /['"]fortran_order['"] ?: ?(True|False)/.exec(header) ?? [];
  const [, tuple] = /['"]shape['"] ?: ?\(([\d, ]*)\)/.exec(header) ?? [];
  if (descr === undefined && /['"]descr['"] ?: ?\[/.test(header)) throw fault(STRUCTURED);
  if (descr === undefined || order === undefined || tuple === undefined)
    throw fault("has a header that names no descr, fortran_order and shape, as NumPy writes them.");
  const shape = tuple
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .map(Number);
  return { descr, isColumnMajor: order === "True", shape };
}

const NUMBERS = "bool, float16 to float64, int8 to int64, and uint8 to uint64";
const STRUCTURED = `has records of several fields. Save each field as an array of its own (${NUMBERS}) with numpy.savez.`;

function wrongType(descr: string): string {
  if (/^\|?O/.test(descr))
    return `holds Python objects, which NumPy pickles. They are never unpacked here: save it as numbers (${NUMBERS}).`;
  const texts = /^[<>=|]?[US]/.test(descr) ? "texts, which are no numbers" : "elements that cannot be read";
  return `has the type ${JSON.stringify(descr)}: ${texts}. Save it as ${NUMBERS}.`;
}
