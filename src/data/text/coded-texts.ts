/** The different texts of a column, and the number of the text of each row. */
import { MISSING_CODE } from "../columns/column.ts";
import { TextTable } from "./text-table.ts";
import { Texts } from "./texts.ts";

/** The number of a missing text. */
export const NO_TEXT = 0xffff_ffff;

export interface CodedTexts {
  readonly codes: Uint32Array;
  readonly texts: Texts;
}

/** @param texts one for each row */
export function codedTexts({ rows, ends, content }: Texts): CodedTexts {
  const table = new TextTable();
  const codes = new Uint32Array(rows);
  let begin = 0;
  for (let row = 0; row < rows; row++) {
    const end = ends[row];
    codes[row] = begin === end ? NO_TEXT : table.add(content, begin, end);
    begin = end;
  }
  return { codes, texts: table.texts() };
}

/** @param codes the class of each row */
export function codedClasses(codes: Uint16Array, classes: readonly string[]): CodedTexts {
  const wide = new Uint32Array(codes.length);
  for (let row = 0; row < codes.length; row++) wide[row] = codes[row] === MISSING_CODE ? NO_TEXT : codes[row];
  return { codes: wide, texts: Texts.of(classes.map((name) => Buffer.from(name))) };
}
