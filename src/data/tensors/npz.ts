/*
 * NPZ, the file of several NumPy arrays: a zip archive of NPY files, stored or deflated, as
 * numpy.savez and savez_compressed write them.
 *
 * What an archive says of itself is not believed. Unpacked bytes are counted while they are read,
 * and the number of files is looked at before any is read. So an archive that unpacks to more than
 * a dataset may have costs no more than what it may have.
 */
import { crc32 } from "node:zlib";
import { fromBufferPromise, openPromise, type Entry, type ZipFile } from "yauzl";
import { DatasetTooLarge, InvalidDataset } from "../dataset.ts";
import { refuseOtherFormats } from "../table/formats.ts";
import { ByteReader } from "./byte-reader.ts";
import type { RawArray } from "./elements.ts";
import { readNpy } from "./npy.ts";
import { assertCount, MAX_ARRAYS } from "./tensor-column.ts";

/** How zip archives begin; the second one has no files. */
const MAGICS = ["PK\x03\x04", "PK\x05\x06"].map((text) => Buffer.from(text, "latin1"));
const SUFFIX = ".npy";
/** yauzl would close the archive after its last entry was listed. */
const OPTIONS = { autoClose: false };

export function isZip(start: Buffer): boolean {
  return MAGICS.some((magic) => start.subarray(0, magic.length).equals(magic));
}

/**
 * @param archive its path, or its bytes
 * @throws InvalidDataset, DatasetTooLarge
 */
export async function* readNpz(archive: string | Buffer, limitBytes: number): AsyncGenerator<RawArray> {
  const opened = typeof archive === "string" ? openPromise(archive, OPTIONS) : fromBufferPromise(archive, OPTIONS);
  const zip = await opened.catch(refuse);
  const count = { bytes: 0, limitBytes };
  try {
    for (const entry of await entriesOf(zip)) {
      const reader = new ByteReader(unpacked(zip, entry, count));
      try {
        yield await readNpy(reader, entry.fileName.slice(0, -SUFFIX.length), limitBytes);
      } finally {
        await reader.close();
      }
    }
  } finally {
    zip.close();
  }
}

async function entriesOf(zip: ZipFile): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const entry of zip.eachEntry()) if (entries.push(entry) > MAX_ARRAYS) break;
  } catch (error) {
    refuse(error);
  }
  const other = entries.find(({ fileName }) => !fileName.endsWith(SUFFIX));
  // An Excel workbook is a zip archive too.
  if (entries.every(({ fileName }) => !fileName.endsWith(SUFFIX))) refuseOtherFormats(MAGICS[0]);
  if (other !== undefined)
    throw new InvalidDataset(
      `The archive holds ${JSON.stringify(other.fileName)}, which is no array: an NPZ holds only files that end in ${SUFFIX}. Save the arrays with numpy.savez.`,
      null,
    );
  assertCount(zip.entryCount);
  return entries;
}

/** The bytes of a file in the archive, which are counted and checked. */
async function* unpacked(
  zip: ZipFile,
  entry: Entry,
  count: { bytes: number; readonly limitBytes: number },
): AsyncGenerator<Buffer> {
  let checksum = 0;
  try {
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) {
      count.bytes += chunk.length;
      if (count.bytes > count.limitBytes) throw new DatasetTooLarge(count.limitBytes);
      checksum = crc32(chunk, checksum);
      yield chunk;
    }
  } catch (error) {
    refuse(error);
  }
  if (checksum !== entry.crc32)
    throw new InvalidDataset(`The archive is damaged: ${JSON.stringify(entry.fileName)} has a wrong checksum.`, null);
}

/** What yauzl and zlib throw says what is wrong with the archive, unless the disk failed. */
function refuse(error: unknown): never {
  if (error instanceof InvalidDataset || error instanceof DatasetTooLarge) throw error;
  const { message, syscall } = error as NodeJS.ErrnoException;
  if (syscall !== undefined) throw error;
  throw new InvalidDataset(
    `The zip archive cannot be read: ${message.replace(/\.+$/, "")}. If it is an Excel workbook, save the table as CSV, and upload that.`,
    null,
  );
}
