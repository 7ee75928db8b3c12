/*
 * Reads the bytes of a CSV file (RFC 4180) row by row, with the line each row starts on.
 *
 * csv-parse splits rows and cells. It would turn bytes that are not UTF-8 into replacement characters, so every chunk is
 * checked before it gets there; and it counts a CRLF in quotes as two lines, so lines are counted here. Rows end in LF or
 * CRLF, mixed as they come; a quoted cell may hold either. A byte order mark is skipped. An empty line is a row with one
 * empty cell: a missing value if the table has one column, and a fault otherwise.
 *
 * A row has limits in characters and in cells, which hold while it is read: what is not complete
 * yet counts too.
 */
import { isUtf8 } from "node:buffer";
import { pipeline } from "node:stream/promises";
import { CsvError, Parser } from "csv-parse";
import { InvalidDataset, MAX_COLUMNS } from "./dataset.ts";

/** What one row may take; also what an opening quote without an end can cost before it is noticed. */
const MAX_ROW_CHARACTERS = 4 * 2 ** 20;

/** Calls `onRow` for each row; what it throws ends the reading. */
export async function readCsv(
  source: AsyncIterable<Buffer>,
  onRow: (cells: string[], line: number) => void,
): Promise<void> {
  let line = 1;
  const parser = new Parser({
    bom: true,
    record_delimiter: ["\r\n", "\n"],
    relax_column_count: true,
    max_record_size: MAX_ROW_CHARACTERS,
    on_record: (cells: string[]) => {
      onRow(cells, line);
      line += 1 + lineBreaks(cells);
      return null; // nothing is queued in the stream
    },
  });
  parser.resume();
  try {
    const assertFewCells = () => {
      if (unfinishedCells(parser) > MAX_COLUMNS) throw tooManyCells(line);
    };
    await pipeline(source, (chunks) => checkedText(chunks, assertFewCells), parser);
  } catch (error) {
    throw error instanceof CsvError ? new InvalidDataset(explain(error), line) : error;
  }
}

/** csv-parse counts a row's characters, and not its cells: empty ones would cost it nothing. */
function unfinishedCells(parser: Parser): number {
  return (parser as unknown as { state: { record: unknown[] } }).state.record.length;
}

export function tooManyCells(line: number): InvalidDataset {
  return new InvalidDataset(
    `This row has more than ${MAX_COLUMNS} cells; a dataset may have at most as many columns.`,
    line,
  );
}

function lineBreaks(cells: readonly string[]): number {
  let count = 0;
  for (const cell of cells) {
    for (let at = cell.indexOf("\n"); at >= 0; at = cell.indexOf("\n", at + 1)) count++;
  }
  return count;
}

function explain({ code, message }: CsvError): string {
  switch (code) {
    case "CSV_QUOTE_NOT_CLOSED":
      return 'A cell of this row opens with a quote (") that is never closed.';
    case "CSV_INVALID_CLOSING_QUOTE":
      return 'A closing quote (") ends a cell, but here the cell goes on. Inside quotes a quote is written twice.';
    case "INVALID_OPENING_QUOTE":
      return 'A quote (") stands inside a cell that is not quoted. Quote the cell, and write the quote twice.';
    case "CSV_MAX_RECORD_SIZE":
      return `This row has more than ${MAX_ROW_CHARACTERS} characters. Is a quote (") left open?`;
    default:
      return message;
  }
}

/**
 * Passes the chunks on, and throws at the first line that is not UTF-8 or holds a NUL byte. The line a chunk breaks off
 * in is checked with the next chunk: before its row is complete, and so before any of it is used.
 * `onTaken` is called when the parser has taken a chunk.
 */
async function* checkedText(chunks: AsyncIterable<Buffer>, onTaken: () => void): AsyncGenerator<Buffer> {
  let line = 1;
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const text = Buffer.concat([rest, chunk]);
    const end = text.lastIndexOf("\n") + 1;
    line = checkLines(text.subarray(0, end), line);
    rest = text.subarray(end);
    yield chunk;
    onTaken();
  }
  checkLines(rest, line);
}

/** Checks text whose first line has the number `line`; gives the number of the line after it. */
function checkLines(text: Buffer, line: number): number {
  const sound = isSound(text);
  let begin = 0;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", begin)) {
    if (!sound && !isSound(text.subarray(begin, end))) break;
    begin = end + 1;
    line++;
  }
  if (sound) return line;
  const reason = isUtf8(text)
    ? "holds a NUL byte. Is the file binary?"
    : "is not UTF-8. Is the file in Latin-1 or UTF-16?";
  throw new InvalidDataset(`This line ${reason}`, line);
}

function isSound(text: Buffer): boolean {
  return isUtf8(text) && !text.includes(0);
}
