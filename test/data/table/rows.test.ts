import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Separator } from "../../../src/data/reading.ts";
import { RowSplitter } from "../../../src/data/table/rows.ts";

function read(
  text: string,
  { version = 2, separator = "," as Separator, comment = null as string | null, chunk = text.length || 1 } = {},
) {
  const rows: string[][] = [];
  const lines: number[] = [];
  const blank: number[] = [];
  const splitter = new RowSplitter({ version, separator, comment }, (cells, line, isBlank) => {
    rows.push(cells);
    lines.push(line);
    if (isBlank) blank.push(line);
  });
  for (let at = 0; at < text.length; at += chunk) splitter.push(text.slice(at, at + chunk));
  splitter.end();
  return { rows, lines, blank };
}

test("reads quotes, line breaks in cells, CRLF beside LF, and a last line without an end", () => {
  const text = 'name,"say ""hi"""\r\n"two\nlines",1\n"two\r\nmore",\r\né✓😀,last';
  expect(read(text)).toMatchObject({
    rows: [
      ["name", 'say "hi"'],
      ["two\nlines", "1"],
      ["two\r\nmore", ""],
      ["é✓😀", "last"],
    ],
    lines: [1, 2, 4, 6],
  });
});

test("a row ends with LF, CRLF, CR, or with the CR CR LF that some programs write", () => {
  expect(read("a,b\r1,2\n3,4\r\r\n5,6\r\n7,8\r").rows.join(" ")).toBe("a,b 1,2 3,4 5,6 7,8");
  expect(read('a,b\r"1\r",2\r3,4').lines).toEqual([1, 2, 4]);
  expect(read('a\n"1\r"\n2').lines).toEqual([1, 2, 3]);
});

test("spaces around a cell do not belong to it, but spaces in its quotes do", () => {
  const { rows } = read(' a ,\tb\u00A0, " c " ,"d"\t\n"x" , y z ,,  ');
  expect(rows).toEqual([
    ["a", "b", " c ", "d"],
    ["x", "y z", "", ""],
  ]);
  expect(read(' a \t"b" \t c', { separator: "\t" }).rows).toEqual([["a", "b", "c"]]);
});

test("lines without a cell, or of separators and spaces, are blank", () => {
  expect(read('a,b\n\n , \n"",\n1,2\n \n').blank).toEqual([2, 3, 6]);
});

test("lines that begin with the comment mark are left out, and counted", () => {
  const text = '# "not a quote\na,b\n#1,2\n1,#2\n"#3\n#",4\n#';
  expect(read(text, { comment: "#" })).toMatchObject({
    rows: [
      ["a", "b"],
      ["1", "#2"],
      ["#3\n#", "4"],
    ],
    lines: [2, 4, 5],
  });
});

test.each([2, 1])("the place where chunks are cut makes no difference (version %i)", (version) => {
  const comment = version === 1 ? null : "//";
  const spaces = version === 1 ? "" : " ";
  const left = version === 1 ? "" : '// no "row\r\n';
  const text = `a,"b ""q"""\r\n${left}"x\r\ny",é✓😀\n"","""",${spaces}"s"${spaces}\r\n\r\nlast,"z"`;
  const whole = read(text, { version, comment });
  for (let chunk = 1; chunk < text.length; chunk++) expect(read(text, { version, comment, chunk })).toEqual(whole);
});

test("any table is read back, with the line each row starts on", () => {
  const cell = fc.oneof(
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.string({ unit: fc.constantFrom('"', ",", ";", "\n", "\r\n", "\r", " ", "x", "é", "😀"), maxLength: 8 }),
  );
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 6 }));
  const separators = fc.constantFrom<Separator>(",", ";", "\t", "|");
  fc.assert(
    fc.property(
      table,
      fc.constantFrom("\n", "\r\n"),
      separators,
      fc.integer({ min: 1, max: 40 }),
      (rows, end, separator, chunk) => {
        const quoted = (value: string) =>
          /["\n\r,;\t|]|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
        const text = rows.map((cells) => cells.map(quoted).join(separator) + end);
        let line = 1;
        const lines = text.map((row) => {
          const start = line;
          line += row.split("\n").length - 1;
          return start;
        });
        expect(read(text.join(""), { separator, chunk })).toMatchObject({ rows, lines });
      },
    ),
    { numRuns: 200 },
  );
});

test("version 1 splits or refuses any text exactly as csv-parse does, which it used", () => {
  const unit = fc.constantFrom('"', '"', ",", "\n", "\r\n", "\r", " ", "x", "1");
  const expected = (text: string) => {
    try {
      return parse(text, { record_delimiter: ["\r\n", "\n"], relax_column_count: true });
    } catch {
      return null;
    }
  };
  const found = (text: string, chunk: number) => {
    try {
      return read(text, { version: 1, chunk }).rows;
    } catch {
      return null;
    }
  };
  let refused = 0;
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 24 }), fc.integer({ min: 1, max: 24 }), (text, chunk) => {
      const rows = expected(text);
      if (rows === null) refused++;
      expect(found(text, chunk)).toEqual(rows);
    }),
    { numRuns: 3000 },
  );
  expect(refused).toBeGreaterThan(100);
  expect(refused).toBeLessThan(2900);
});

test.each([
  ["a cell whose quote is never closed", 'a,b\n1,2\n3,"4\n5,6\n', 3, /never closed/],
  ["spaces between quoted cells", '"a" "b"\n"1" 2\n', 1, /separates cells, not a space/],
  ["a quote followed by something else", 'a,b\n"x\ny",1\n"1"2,3\n', 4, /closing quote/i],
  ["a quote inside a cell that is not quoted", 'a,b\n1,2\n3,4"5\n', 3, /not quoted/],
])("refuses %s, with its line", (_, text, line, message) => {
  for (const chunk of [1, 5, 2 ** 16]) {
    const fault = expect.objectContaining({ line, message: expect.stringMatching(message) });
    expect(() => read(text, { chunk })).toThrow(fault);
  }
});

test.each([
  ["commas", "x,y\n", ",", 2],
  ["commas in the header", "", ",", 1],
  ["commas between lines in quotes", "x,y\n1,2\n", `"\n",${",".repeat(1000)}`, 3],
  ["one line of text", "x\n", "x", 2],
  ["lines in an open quote", 'x\n"', "x\n", 2],
  ["a comment", "x\n#", "x", 2],
])("an endless row of %s is refused before more than a few chunks of it were read", (_, begin, piece, line) => {
  const chunk = piece.repeat(Math.ceil(2 ** 18 / piece.length));
  const splitter = new RowSplitter({ version: 2, separator: ",", comment: "#" }, () => undefined);
  splitter.push(begin);
  let chunks = 0;
  const endless = () => {
    // 17 of them are more than a row may have in characters.
    while (chunks++ < 17) splitter.push(chunk);
  };
  const message = expect.stringMatching(/^This row has more than (10000 cells|4194304 characters)/);
  expect(endless).toThrow(expect.objectContaining({ line, message }));
  if (piece === ",") expect(chunks).toBe(1);
});

test("a row that comes in many pieces takes time in proportion to its length", () => {
  const cell = '"",\n'.repeat(2 ** 15);
  expect(read(`a,b\n1,"${cell}"\n`, { chunk: 1 }).rows[1]).toEqual(["1", cell.replaceAll('""', '"')]);
});
