// The kernels read plain rows and cells, many at once. Whatever they take, a table must be the one
// that all rules give, row by row and cell by cell.
import { parse } from "csv-parse/sync";
import { expect, test } from "vitest";
import type { Column } from "../../../src/data/columns/column.ts";
import { TextRoom } from "../../../src/data/columns/kept-texts.ts";
import { TableColumns } from "../../../src/data/columns/table-columns.ts";
import { InvalidDataset } from "../../../src/data/dataset.ts";
import { withKernels, type ReaderKernels } from "../../../src/data/kernels/reader.ts";
import { READER_VERSION } from "../../../src/data/reading.ts";
import type { BatchSink, Sink } from "../../../src/data/table/assemble.ts";
import { readText } from "../../../src/data/table/read.ts";
import { RowReader } from "../../../src/data/table/row-reader.ts";
import { Random } from "../../api/generate.ts";
import { ODD, randomTable } from "./random-table.ts";

const TABLES = 200;

type Asked = ReturnType<typeof randomTable>["asked"];
type ReadRows = (sink: BatchSink) => void;

function readingOf(asked: Asked) {
  const { decimal, columns } = asked;
  const known = { version: READER_VERSION, encoding: "utf-8", decimal_proved: false } as const;
  return { ...asked, ...known, decimal: decimal ?? ("." as const), columns: columns ?? {} };
}

/** In pieces, as they come from a file. */
function byKernels(kernels: ReaderKernels, text: string, asked: Asked, pieceBytes: number): ReadRows {
  return (sink) => {
    kernels.clear();
    const bytes = Buffer.from(text);
    const reader = new RowReader(readingOf(asked), sink, kernels, 1, bytes.length);
    for (let at = 0; at < bytes.length; at += pieceBytes) reader.push(bytes.subarray(at, at + pieceBytes));
    reader.end();
  };
}

const byAllRules =
  (text: string, asked: Asked): ReadRows =>
  (sink) =>
    readText(Buffer.from(text), readingOf(asked), sink);

/** The columns, or why there are none. */
function columnsOf(readRows: ReadRows, asked: Asked, roomBytes: number) {
  const { decimal, missing_values: missingValues } = asked;
  const options = { version: READER_VERSION, decimal, missingValues, types: asked.columns ?? {} };
  let columns: TableColumns;
  const first: BatchSink = {
    begin(names) {
      columns = new TableColumns(names, { ...options, pointMayGroup: true, texts: new TextRoom(roomBytes) });
    },
    row: (cells, line) => columns.add(cells, line),
    rows: (batch) => columns.addBatch(batch),
  };
  try {
    readRows(first);
    const settled = columns!.settle();
    const again: BatchSink = {
      begin: () => undefined,
      row: (cells) => columns.addAgain(cells),
      rows: (batch) => columns.addBatchAgain(batch),
    };
    if (settled.again) readRows(again);
    const made = columns!.finish();
    for (const { summary, values } of made)
      if (summary.type === "numeric") expect(summary).toMatchObject(totalsOf(values as Float64Array));
    return {
      settled,
      columns: made.map(({ texts, ...column }: Column) => ({
        ...column,
        texts: texts?.stored(),
        isDictionary: (texts?.dictionary ?? null) !== null,
      })),
    };
  } catch (error) {
    if (!(error instanceof InvalidDataset)) throw error;
    return { message: error.message, line: error.line };
  }
}

/** As they follow from the values, added up from the first to the last. */
function totalsOf(values: Float64Array) {
  const there = [...values].filter((value) => !Number.isNaN(value));
  const sum = there.reduce((all, value) => all + value, 0);
  const among = (pick: (a: number, b: number) => number) => (there.length === 0 ? null : there.reduce(pick));
  const mean = sum / there.length;
  return {
    min: among((a, b) => (b < a ? b : a)),
    max: among((a, b) => (b > a ? b : a)),
    mean: Number.isFinite(mean) ? mean : null,
    missing: values.length - there.length,
  };
}

test(`${TABLES} tables of a seed have the columns, or the fault, that all rules give them`, async () => {
  const found = { refused: 0, again: 0, byRows: 0 };
  await withKernels(async (kernels) => {
    for (let seed = 1; seed <= TABLES; seed++) {
      const random = new Random(seed);
      const { text, asked } = randomTable(random);
      const pieceBytes = random.pick([2 ** 18, 2 ** 18, 5000, 997]);
      // Some rooms are too small for the texts, which then depend on the order of all cells.
      const roomBytes = random.pick([2 ** 27, 20_000]);
      const expected = columnsOf(byAllRules(text, asked), asked, roomBytes);
      expect(columnsOf(byKernels(kernels, text, asked, pieceBytes), asked, roomBytes), `seed ${seed}`).toEqual(
        expected,
      );
      if ("message" in expected) found.refused++;
      else if (expected.settled.again) found.again++;
      else if (roomBytes < text.length) found.byRows++;
    }
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(2);
});

test("texts that do not fit their room become the same dictionaries", async () => {
  const asked = {
    ...randomTable(new Random(1)).asked,
    separator: ",",
    header: true,
    comment: null,
    columns: null,
  } as const;
  const cells = (row: number) => [`shop ${row % 1500}`, row % 7 === 0 ? "" : `note ${row}`, `"a ""${row % 1100}"""`];
  const text = ["shop,note,word", ...Array.from({ length: 8000 }, (_, row) => cells(row).join(","))].join("\n");
  const forms = new Set<string>();
  await withKernels(async (kernels) => {
    for (let roomBytes = 20_000; roomBytes < 250_000; roomBytes = Math.ceil(1.3 * roomBytes)) {
      const expected = columnsOf(byAllRules(text, asked), asked, roomBytes);
      expect(columnsOf(byKernels(kernels, text, asked, 2 ** 18), asked, roomBytes), `${roomBytes}`).toEqual(expected);
      forms.add(expected.columns!.map(({ texts, isDictionary }) => texts && (isDictionary ? "once" : "each")).join());
    }
  });
  // None at first, and all of them in the end.
  expect(forms.size).toBeGreaterThan(4);
});

/** Columns of more cells than can be classes, so that kernels read the rest of them. */
const long: Record<string, (i: number) => string> = {
  integers: (i) => String(i),
  points: (i) => `${i}.25`,
  commas: (i) => `${i},25`,
  percents: (i) => `${i}%`,
  codes: (i) => `0${i}`,
  dates: (i) => new Date(i * 86_400_000).toISOString().slice(0, 10),
  "days first": (i) => `${13 + (i % 15)}.0${1 + (i % 9)}.${1000 + i}`,
  texts: (i) => `note number ${i}`,
};

test.each(Object.keys(long))("what a cell tells late in a column of %s is not missed", async (kind) => {
  const { asked: random } = randomTable(new Random(1));
  const asked = {
    ...random,
    separator: "|",
    header: true,
    decimal: null,
    missing_values: null,
    columns: null,
  } as const;
  const cells = Array.from({ length: 1100 }, (_, i) => long[kind](i));
  await withKernels(async (kernels) => {
    for (const odd of ODD.filter((cell) => !/[|"\n]/.test(cell))) {
      const text = ["name|other", ...[...cells, odd, ...cells.slice(0, 3), odd].map((cell) => `${cell}|x`), ""].join(
        "\n",
      );
      const expected = columnsOf(byAllRules(text, asked), asked, 2 ** 27);
      expect(columnsOf(byKernels(kernels, text, asked, 2 ** 18), asked, 2 ** 27), odd).toEqual(expected);
    }
  });
});

test("tables that are written as RFC 4180 says have the rows that csv-parse gives", async () => {
  const pieces = ["a", "é", "😀", "1", " ", ",", ";", '"', "\n", "\r\n", "x".repeat(40)];
  await withKernels(async (kernels) => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = new Random(seed);
      const columns = 2 + random.below(5);
      const end = random.pick(["\n", "\r\n"]);
      const cell = () => {
        const value = Array.from({ length: random.below(5) }, () => random.pick(pieces)).join("");
        return /[",\r\n]|^ | $/.test(value) || random.chance(0.2) ? `"${value.replaceAll('"', '""')}"` : value;
      };
      const row = () => `w${Array.from({ length: columns - 1 }, () => `,${cell()}`).join("")}${end}`;
      const text = Array.from({ length: 1 + random.below(200) }, row).join("");
      const asked = { ...randomTable(random).asked, separator: "," as const, comment: null, header: false };
      let split = 0;
      const rows: (readonly string[])[] = [];
      const lines: number[] = [];
      byKernels(
        kernels,
        text,
        asked,
        random.pick([100, 2 ** 18]),
      )({
        begin: () => undefined,
        row: (cells, line) => {
          rows.push([...cells]);
          lines.push(line);
        },
        rows: (batch) => {
          split += batch.rows;
          for (let i = 0; i < batch.rows; i++) {
            rows.push(batch.row(i));
            lines.push(batch.line(i));
          }
        },
      });
      expect(rows).toEqual(parse(text, { record_delimiter: ["\r\n", "\n"] }));
      const byRules: number[] = [];
      const sink: Sink = { begin: () => undefined, row: (_, line) => byRules.push(line) };
      readText(Buffer.from(text), readingOf(asked), sink);
      expect(lines).toEqual(byRules);
      // Only the first row comes by itself.
      expect(split).toBe(rows.length - 1);
    }
  });
});

test("whole numbers of few digits, and what looks like them", async () => {
  const asked = {
    ...randomTable(new Random(1)).asked,
    separator: ",",
    header: true,
    comment: null,
    columns: null,
  } as const;
  const random = new Random(3);
  const digits = () => Array.from({ length: 1 + random.below(10) }, () => random.below(10)).join("");
  const whole = Array.from({ length: 20_000 }, () => String(Number(digits())));
  await withKernels(async (kernels) => {
    const check = (cells: readonly string[]) => {
      const text = ["n,m", ...cells.map((cell) => `${cell},`), ""].join("\n");
      const expected = columnsOf(byAllRules(text, asked), asked, 2 ** 27);
      expect(columnsOf(byKernels(kernels, text, asked, 2 ** 18), asked, 2 ** 27)).toEqual(expected);
      return expected.columns![0];
    };
    expect([...check(whole).values!]).toEqual(whole.map(Number));
    // The bytes before 0 and after 9, and a zero that leads.
    for (const odd of ["/", ":", "12/4", "1234:", "/1234567", "1234567:", "00000000", "01", "p", "1p"])
      check([...whole.slice(0, 1500), odd, odd, "7"]);
  });
});

test("a decimal number is the double that `Number` gives", async () => {
  const random = new Random(7);
  const digits = (count: number) => Array.from({ length: count }, () => random.below(10)).join("");
  await withKernels(async (kernels) => {
    for (let i = 0; i < 200_000; i++) {
      const mantissa = BigInt(digits(1 + random.below(19)));
      const exponent = random.below(129) - 64;
      expectSame(kernels.run.decimal(mantissa, exponent), mantissa, exponent);
    }
    // Halfway between two doubles, and beside it.
    for (let i = 0; i < 20_000; i++) {
      const half = (2n ** 53n + BigInt(random.below(2 ** 52))) * 2n + 1n;
      for (const near of [-1n, 0n, 1n]) expectSame(kernels.run.decimal(half + near, 0), half + near, 0);
      const power = 1 + random.below(23);
      const tie = half / 5n ** BigInt(power) + BigInt(random.below(3));
      expectSame(kernels.run.decimal(tie, power), tie, power);
    }
  });
});

/** Without the cost of `expect` for each of very many numbers. */
function expectSame(value: number, mantissa: bigint, exponent: number): void {
  const text = `${mantissa}e${exponent}`;
  if (value !== Number(text)) expect(`${text} is ${value}`).toBe(`${text} is ${Number(text)}`);
}
