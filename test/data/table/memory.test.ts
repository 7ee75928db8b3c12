import { expect, test } from "vitest";
import { TableColumns } from "../../../src/data/columns/table-columns.ts";
import { RowSplitter } from "../../../src/data/table/rows.ts";
import { collectNow } from "../../../src/engine/crew/garbage.ts";

test.each([1, 2])("classes that come one by one do not keep the text around them (version %i)", (version) => {
  const options = { version, decimal: null, missingValues: null, types: {} };
  const columns = new TableColumns(["class", "filler"], options);
  const splitter = new RowSplitter({ version, separator: ",", comment: null }, (cells, line) =>
    columns.add(cells, line),
  );
  const filler = "f".repeat(1000);
  const heapBytes = () => {
    collectNow();
    return process.memoryUsage().heapUsed;
  };
  const before = heapBytes();
  // 30 MB, each megabyte with classes of its own.
  for (let i = 0; i < 120; i++) {
    const rows = Array.from({ length: 256 }, (_, row) => `the class that comes as number ${i},${row}${filler}\n`);
    splitter.push(Buffer.from(rows.join("")).toString());
  }
  expect(heapBytes() - before).toBeLessThan(10 * 2 ** 20);
  expect(columns.settle().again).toBe(false);
  expect(columns.finish()[0].summary.classes).toHaveLength(120);
});
