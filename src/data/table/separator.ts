/*
 * Detects the separator of a table. Excel names it in a first line `sep=;`, which is not a row.
 * Without such a line, the first rows are split by each of the four separators, and the results are
 * compared:
 *
 * 1. The first row, which names the columns, has more than one cell, and most rows have as many
 *    cells.
 * 2. No quote is in a wrong place. The names differ. No name is empty, except the first one of an
 *    index. No name begins or ends with another separator.
 * 3. The share of rows with the most common number of cells is larger.
 *
 * If several separators are equal in all of this, the one that is least likely within cells is
 * taken: tab, semicolon, pipe, comma. A comma is common in decimal numbers and in texts.
 *
 * If no separator fulfils 1, nearly all rows except the first may still have the same number of
 * cells, and more than one. Then the first row is not a header, and reading the table reports that.
 * Otherwise the table has one column.
 */
import { InvalidDataset } from "../dataset.ts";
import { separators, type Separator } from "../reading.ts";
import { RowSplitter, type RowFormat } from "./rows.ts";

/** Number of rows that are compared. */
const MAX_ROWS = 200;
const NEARLY_ALL = 0.9;
const FEW_ROWS = 3;
const SEPARATOR_LINE = /^"?sep=(\t|[^\p{L}\p{N}\s"])"?[ \t]*(?:\r\n|\n|\r|$)/iu;
const BY_LIKELIHOOD: readonly Separator[] = ["\t", ";", "|", ","];

/**
 * Reads the line that names the separator. Returns the separator, and the length of the line in
 * characters.
 */
export function separatorLine(text: string): { separator: Separator; length: number } | null {
  const [line, named] = SEPARATOR_LINE.exec(text) ?? [];
  if (line === undefined) return null;
  const separator = separators.find((known) => known === named);
  if (separator !== undefined) return { separator, length: line.length };
  throw new InvalidDataset(`This line names ${named} as the separator; it must be comma, semicolon, tab or pipe.`, 1);
}

interface Candidate {
  readonly separator: Separator;
  readonly isHeaded: boolean;
  readonly isWellFormed: boolean;
  /** The share of the rows that have the most common number of cells. */
  readonly share: number;
}

interface Known extends Omit<RowFormat, "separator"> {
  readonly header: boolean;
  /** Whether the text is the whole table, and not only its beginning. */
  readonly isWhole: boolean;
}

export function detectSeparator(text: string, known: Known): Separator {
  const candidates = BY_LIKELIHOOD.map((separator) => candidate(text, { ...known, separator }))
    .filter((found) => found !== null)
    .toSorted(
      (a, b) =>
        Number(b.isHeaded) - Number(a.isHeaded) || Number(b.isWellFormed) - Number(a.isWellFormed) || b.share - a.share,
    );
  return candidates[0]?.separator ?? ",";
}

function candidate(text: string, format: Known & RowFormat): Candidate | null {
  const { rows, isWellQuoted } = firstRows(text, format);
  const [names = [], ...others] = rows;
  const { separator, header } = format;
  const most = mostCommon(rows);
  if (names.length > 1 && most.cells === names.length) {
    return { separator, isHeaded: true, isWellFormed: isWellQuoted && (!header || areNames(names)), share: most.share };
  }
  const { cells, share } = mostCommon(others);
  if (cells < 2 || share < NEARLY_ALL || others.length < FEW_ROWS) return null;
  return { separator, isHeaded: false, isWellFormed: isWellQuoted, share };
}

/** The complete rows, up to the first one with a fault in its quotes. */
function firstRows(text: string, format: Known & RowFormat): { rows: string[][]; isWellQuoted: boolean } {
  const rows: string[][] = [];
  const enough = new Error("Enough rows.");
  const splitter = new RowSplitter(format, (cells, _line, blank) => {
    if (!blank) rows.push(cells);
    if (rows.length === MAX_ROWS) throw enough;
  });
  try {
    splitter.push(text);
    if (format.isWhole) splitter.end();
    return { rows, isWellQuoted: true };
  } catch (error) {
    if (error !== enough && !(error instanceof InvalidDataset)) throw error;
    return { rows, isWellQuoted: error === enough };
  }
}

/** The most common number of cells; of several, the one that comes first. */
function mostCommon(rows: readonly string[][]): { cells: number; share: number } {
  const counts = new Map<number, number>();
  for (const { length } of rows) counts.set(length, (counts.get(length) ?? 0) + 1);
  let [cells, most] = [0, 0];
  for (const [length, count] of counts) if (count > most) [cells, most] = [length, count];
  return { cells, share: most / rows.length };
}

function areNames(names: readonly string[]): boolean {
  const isName = (name: string, i: number) =>
    (name !== "" || i === 0) && !BY_LIKELIHOOD.some((other) => name.startsWith(other) || name.endsWith(other));
  return names.every(isName) && new Set(names).size === names.length;
}
