/** How the rows of a request make samples: each is one, or those that follow each other are. */
import type { CellReader } from "../data/columns/cell-reader.ts";
import type { WindowRule } from "../data/encode/encoding.ts";
import type { Faults } from "./columns.ts";
import type { Asked, Cell, Rows } from "./request.ts";

/** The samples of a request. The faults of rows that make none are added to `faults`. */
export function sampleCount(asked: Asked, window: WindowRule | null, reader: CellReader, faults: Faults): number {
  if (asked.kind === "inputs" || window === null) return asked.count;
  const { length } = window;
  if (asked.count < length) {
    const message = `must have at least ${length} items, not ${asked.count}: the model predicts from ${length} rows that follow each other`;
    faults.add(["rows"], message);
  }
  checkOrder(asked, window, reader, faults);
  return asked.count - length + 1;
}

/** The columns of order and series need not be there. Where they are, they tell of mistakes. */
function checkOrder(rows: Rows, { order, series }: WindowRule, reader: CellReader, faults: Faults): void {
  let last: number | null = null;
  for (let row = 0; row < rows.count; row++) {
    if (series !== null && row > 0 && rows.cell(row, series) !== rows.cell(row - 1, series)) {
      faults.add(
        ["rows", row, series],
        "is another series than that of the row before: send each in a request of its own",
      );
      return;
    }
    const time = timeIn(rows.cell(row, order), order, reader);
    if (time !== null && last !== null && time <= last)
      faults.add(["rows", row, order], "does not come after that of the row before: send the rows in order");
    last = time ?? last;
  }
}

/** Null if the cell alone does not tell. */
function timeIn(cell: Cell, order: string, reader: CellReader): number | null {
  if (typeof cell === "number") return cell;
  if (typeof cell !== "string") return null;
  const read = [reader.number(cell), reader.date(cell.trim(), order)].find((each) => "value" in each);
  return read !== undefined && "value" in read ? read.value : null;
}
