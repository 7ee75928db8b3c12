/**
 * Files that are not CSV tables, although people upload them as one. Their first bytes show what
 * they are.
 */
import { InvalidDataset } from "../dataset.ts";

const SAVE_AS_CSV = "Save the table as CSV, and upload that.";
const AS_ARRAY = "Save images as an array of numbers (NPY or NPZ), and upload that.";
const AS_DATA = "Save tables as CSV or Parquet, arrays as NPZ, and upload that.";
const UNPACK = "Unpack it, and upload the CSV file, or that packed with gzip.";

const formats: readonly (readonly [begin: string | Buffer, what: string, remedy: string])[] = [
  ["PK\x03\x04", "a zip archive, or an Excel workbook (.xlsx)", `${SAVE_AS_CSV} From an archive, take it out first.`],
  [Buffer.from("d0cf11e0a1b11ae1", "hex"), "an Excel workbook (.xls)", SAVE_AS_CSV],
  ["FEA1", "a Feather file of the first version", "Save the table as Parquet or CSV, and upload that."],
  ["%PDF-", "a PDF document", SAVE_AS_CSV],
  ["\x89PNG", "an image", AS_ARRAY],
  [Buffer.from("ffd8ff", "hex"), "an image", AS_ARRAY],
  ["\x89HDF", "an HDF5 file", AS_DATA],
  ["\x80\x04\x95", "a Python pickle", AS_DATA],
  ["\x80\x05\x95", "a Python pickle", AS_DATA],
  [Buffer.from([0x1f, 0x8b]), "packed with gzip twice", "Pack it once."],
  ["BZh91AY&SY", "packed with bzip2", UNPACK],
  [Buffer.from("fd377a585a00", "hex"), "packed with xz", UNPACK],
  [Buffer.from("28b52ffd", "hex"), "packed with zstd", UNPACK],
  [Buffer.from("377abcaf271c", "hex"), "a 7z archive", UNPACK],
];
const JSON_TEXT = /^\s*[[{]\s*["{[]/;
const FORM = /^--[^\r\n]{1,100}\r?\ncontent-disposition:/i;
const PAGE = /^\s*<(?:!doctype|html|\?xml)/i;

/** @throws InvalidDataset */
export function refuseOtherFormats(start: Buffer): void {
  for (const [begin, what, remedy] of formats) {
    if (start.subarray(0, begin.length).equals(Buffer.from(begin as string, "latin1")))
      throw new InvalidDataset(`The file is ${what}, not a CSV table. ${remedy}`, null);
  }
  if (JSON_TEXT.test(start.toString("latin1", 0, 100)))
    throw new InvalidDataset(
      'The file is JSON, not a CSV table. Write its rows as CSV, or put them into a spec as /data/inline: {"columns": ["x"], "rows": [[1]]}.',
      null,
    );
  if (FORM.test(start.toString("latin1", 0, 200)))
    throw new InvalidDataset("The body is a form. Send the file alone: curl --data-binary @FILE, not -F.", null);
  if (PAGE.test(start.toString("latin1", 0, 100)))
    throw new InvalidDataset("The file is a web page or XML, not a CSV table. Upload what it shows or links to.", null);
}
