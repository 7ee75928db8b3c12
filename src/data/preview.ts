/** The first rows of a dataset, as it keeps them. It runs in a helper thread. */
import { holdsDoubles, MISSING_CODE } from "./columns/column.ts";
import { keepsTexts, type ColumnSummary } from "./dataset.ts";
import { booleanOf } from "./columns/cell-word.ts";
import type { TablePath } from "./beside.ts";
import { withColumns, type Columns } from "./files/beside-files.ts";
import { MAX_PREVIEW_COLUMNS } from "./preview-limits.ts";
import { size, type Shape } from "../engine/member/shape.ts";

/** Cells and numbers of arrays that a preview has in all. */
const MAX_NUMBERS = 20_000;
/** Characters of a text: of a cell, or for each row that is asked for. */
const CHARACTERS = 100;

export type Cell = number | string | boolean | null | readonly Cell[];

export interface Preview {
  /** The first columns, at most `MAX_PREVIEW_COLUMNS`. */
  readonly columns: readonly string[];
  /** A cell for each of the columns. */
  readonly rows: readonly (readonly Cell[])[];
}

export function previewFile({ table, rows: wanted }: { table: TablePath; rows: number }): Promise<Preview> {
  return withColumns(table, async (file) => {
    const columns = file.content.columns.slice(0, MAX_PREVIEW_COLUMNS);
    const [first] = columns;
    if (first.type === "text") return { columns: [first.name], rows: [[await textOf(file, wanted)]] };
    const ofRow = columns.reduce((sum, column) => sum + numbersOf(column), 0);
    const count = Math.min(file.content.rows, wanted, Math.max(1, Math.floor(MAX_NUMBERS / ofRow)));
    const cells: (readonly Cell[])[] = [];
    for (const [index, column] of columns.entries()) cells.push(await cellsOf(file, index, column, count));
    return {
      columns: columns.map(({ name }) => name),
      rows: Array.from({ length: count }, (_, row) => cells.map((column) => column[row])),
    };
  });
}

/** How many a cell has. An array that is too large is not shown, and counts as one. */
function numbersOf(column: ColumnSummary): number {
  const numbers = column.type === "tensor" ? size(column.shape) : 1;
  return numbers > MAX_NUMBERS ? 1 : numbers;
}

async function textOf(file: Columns, rows: number): Promise<string> {
  const bytes = await file.text(0);
  const characters = Array.from(new TextDecoder().decode(bytes.subarray(0, 4 * CHARACTERS * rows), { stream: true }));
  return characters.slice(0, CHARACTERS * rows).join("");
}

async function cellsOf(file: Columns, index: number, column: ColumnSummary, count: number): Promise<Cell[]> {
  if (column.type === "tensor") {
    const { shape } = column;
    const width = size(shape);
    if (width > MAX_NUMBERS) return Array.from({ length: count }, () => null);
    const elements = await file.elements(index);
    return Array.from({ length: count }, (_, row) => nested(elements, row * width, shape));
  }
  if (holdsDoubles(column)) {
    const numbers = await file.numbers(index);
    return Array.from(numbers.subarray(0, count), (value) => {
      if (Number.isNaN(value)) return null;
      return column.type === "date" ? new Date(value).toISOString() : value;
    });
  }
  const { classes } = column;
  if (keepsTexts(column)) {
    const texts = await file.texts(index);
    return Array.from({ length: count }, (_, row) => (texts.isMissing(row) ? null : beginning(texts.at(row))));
  }
  if (classes === null) return Array.from({ length: count }, () => null);
  const codes = await file.codes(index);
  return Array.from(codes.subarray(0, count), (code) => {
    if (code === MISSING_CODE) return null;
    return column.type === "boolean" ? booleanOf(classes[code])!.value : classes[code];
  });
}

/** A longer text ends in an ellipsis. */
function beginning(text: Uint8Array): string {
  const characters = Array.from(new TextDecoder().decode(text.subarray(0, 4 * CHARACTERS + 4), { stream: true }));
  return characters.length > CHARACTERS ? `${characters.slice(0, CHARACTERS).join("")}…` : characters.join("");
}

function nested(elements: ArrayLike<number>, begin: number, [length, ...inner]: Shape): Cell {
  if (length === undefined) return elements[begin];
  const step = size(inner);
  return Array.from({ length }, (_, at) => nested(elements, begin + at * step, inner));
}
