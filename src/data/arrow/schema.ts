/** The schema of an Arrow file, checked before it is read. */
import { Endianness } from "apache-arrow/fb/endianness";
import type { Field } from "apache-arrow/fb/field";
import { Int } from "apache-arrow/fb/int";
import type { Schema } from "apache-arrow/fb/schema";
import { Type } from "apache-arrow/fb/type";
import { Encoding } from "flatbuffers";
import { DamagedFile, nestedFault, typeFault } from "../columnar/damage.ts";
import { checkNames } from "../columnar/names.ts";
import { InvalidDataset, MAX_COLUMNS } from "../dataset.ts";

export interface CheckedField {
  readonly name: string;
}

const nestings: Partial<Record<Type, string>> = {
  [Type.List]: "a list",
  [Type.LargeList]: "a list",
  [Type.FixedSizeList]: "a list",
  [Type.ListView]: "a list",
  [Type.LargeListView]: "a list",
  [Type.Struct_]: "a record of several fields",
  [Type.Map]: "a map",
  [Type.Union]: "a union",
};
const readable = new Set([
  Type.Null,
  Type.Int,
  Type.FloatingPoint,
  Type.Bool,
  Type.Decimal,
  Type.FixedSizeBinary,
  Type.Utf8,
  Type.LargeUtf8,
  Type.Utf8View,
  Type.Binary,
  Type.LargeBinary,
  Type.BinaryView,
  Type.Date,
  Type.Time,
  Type.Timestamp,
  Type.Duration,
]);

/**
 * @param bytes of the message
 * @throws InvalidDataset, DamagedFile
 */
export function checkSchema(schema: Schema | null, bytes: number): CheckedField[] {
  if (schema === null) throw new DamagedFile("it has no schema");
  if (schema.endianness() !== Endianness.Little)
    throw new InvalidDataset("The Arrow file is of a big-endian machine. Write it on another one.", null);
  const count = schema.fieldsLength();
  if (count > MAX_COLUMNS)
    throw new InvalidDataset(`The Arrow file has ${count} columns; a dataset may have ${MAX_COLUMNS}.`, null);
  // Texts may lie over one another, and are made for each field.
  const texts = { bytes };
  checkMetadata(schema, texts);
  const fields = Array.from({ length: count }, (_, i) => checkField(schema.fields(i), texts));
  checkNames(
    "Arrow",
    fields.map(({ name }) => name),
  );
  return fields;
}

function checkField(field: Field | null, texts: { bytes: number }): CheckedField {
  if (field === null) throw new DamagedFile("a column is not described");
  spendText(field.name(Encoding.UTF8_BYTES), texts);
  const name = field.name() ?? "";
  const type = field.typeType();
  const nesting = nestings[type];
  if (nesting !== undefined) throw nestedFault(name, nesting);
  if (!readable.has(type)) throw typeFault(name, Type[type] ?? `the unknown type ${type}`);
  // Polars has whole numbers of 128 bits.
  const bits = type === Type.Int ? (field.type(new Int()) as Int | null)?.bitWidth() : undefined;
  if (bits !== undefined && bits > 64) throw typeFault(name, `whole numbers of ${bits} bits`);
  if (field.childrenLength() > 0) throw new DamagedFile(`the column ${JSON.stringify(name)} has parts`);
  // They take no byte each, so their bytes are no limit to their number.
  if ((type === Type.Null || type === Type.Bool) && field.dictionary() !== null)
    throw typeFault(name, `a dictionary of ${Type[type]}`);
  checkMetadata(field, texts);
  return { name };
}

/** @param texts how many bytes they may have together */
export function checkMetadata(
  of: Pick<Field, "customMetadata" | "customMetadataLength">,
  texts: { bytes: number },
): void {
  for (let i = 0; i < of.customMetadataLength(); i++) {
    spendText("    ", texts);
    spendText(of.customMetadata(i)!.key(Encoding.UTF8_BYTES), texts);
    spendText(of.customMetadata(i)!.value(Encoding.UTF8_BYTES), texts);
  }
}

function spendText(text: string | Uint8Array | null, texts: { bytes: number }): void {
  texts.bytes -= text?.length ?? 0;
  if (texts.bytes < 0) throw new DamagedFile("the texts of its schema are longer than the schema");
}
