import fc from "fast-check";
import { expect, test } from "vitest";
import { readCsv } from "../../src/data/csv.ts";

async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(text: string | Buffer, chunkBytes = 2 ** 16) {
  const rows: string[][] = [];
  const lines: number[] = [];
  await readCsv(inChunks(Buffer.from(text), chunkBytes), (cells, line) => {
    rows.push(cells);
    lines.push(line);
  });
  return { rows, lines };
}

test("reads quotes, line breaks in cells, CRLF beside LF, a byte order mark and a last line without an end", async () => {
  const text = '\uFEFFname,"say ""hi"""\r\n"two\nlines",1\n"two\r\nmore",\r\né✓😀,last';
  expect(await read(text)).toEqual({
    rows: [
      ["name", 'say "hi"'],
      ["two\nlines", "1"],
      ["two\r\nmore", ""],
      ["é✓😀", "last"],
    ],
    lines: [1, 2, 4, 6],
  });
});

test("where the chunks are cut makes no difference", async () => {
  const bytes = Buffer.from('\uFEFFa,"b ""q"""\r\n"x\r\ny",é✓😀\n"",""""\r\nlast,"z"');
  const whole = await read(bytes);
  for (let size = 1; size < bytes.length; size++) expect(await read(bytes, size)).toEqual(whole);
});

test("reads back any table, with the line each row starts on", async () => {
  const cell = fc.oneof(
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r\n", "x", "é", "😀"), maxLength: 8 }),
  );
  const table = fc
    .integer({ min: 2, max: 4 })
    .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 6 }));
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.constantFrom("\n", "\r\n"),
      fc.integer({ min: 1, max: 40 }),
      async (given, end, chunkBytes) => {
        const rows = given.map((cells) => cells.map((value) => value.replaceAll("\0", "")));
        const quoted = (value: string) => (/["\n\r,\uFEFF]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
        const text = rows.map((cells) => cells.map(quoted).join(",") + end);
        let line = 1;
        const lines = text.map((row) => {
          const start = line;
          line += row.split("\n").length - 1;
          return start;
        });
        expect(await read(text.join(""), chunkBytes)).toEqual({ rows, lines });
      },
    ),
    { numRuns: 200 },
  );
});

test.each([
  ["a cell whose quote is never closed", 'a,b\n1,2\n3,"4\n5,6\n', 3, /never closed/],
  ["a quote followed by something else", 'a,b\n"x\ny",1\n"1"2,3\n', 4, /closing quote/i],
  ["a quote inside a cell that is not quoted", 'a,b\n1,2\n3,4"5\n', 3, /not quoted/],
  ["a NUL byte", "a,b\r\n1,2\r\n3,\0\r\n", 3, /NUL/],
  ["a NUL byte after the last line break", "a,b\n1,2\n3,\0", 3, /NUL/],
])("refuses %s, with its line", async (_, text, line, message) => {
  for (const chunkBytes of [1, 5, 2 ** 16]) {
    await expect(read(text, chunkBytes)).rejects.toMatchObject({ line, message: expect.stringMatching(message) });
  }
});

test.each([
  ["Latin-1", Buffer.from("a,b\n1,2\né,3\n", "latin1"), 3],
  ["a character that is cut off at the end", Buffer.from("a,b\n1,é").subarray(0, -1), 2],
  ["UTF-16", Buffer.from("\uFEFFa,b\n1,2\n", "utf16le"), 1],
])("refuses %s, with its line", async (_, bytes, line) => {
  for (const chunkBytes of [1, 2, 2 ** 16]) {
    await expect(read(bytes, chunkBytes)).rejects.toMatchObject({ line, message: expect.stringMatching(/not UTF-8/) });
  }
});

test("an open quote cannot take up more memory than a row may", async () => {
  const bytes = Buffer.concat([Buffer.from('a\n"'), Buffer.alloc(5 * 2 ** 20, "x\n")]);
  await expect(read(bytes)).rejects.toMatchObject({ line: 2, message: expect.stringMatching(/left open/) });
});

test.each([
  ["commas", "x,y\n", ",", 2],
  ["commas in the header", "", ",", 1],
  ["commas between lines in quotes", "x,y\n1,2\n", `"\n",${",".repeat(1000)}`, 3],
  ["one line of text", "x\n", "x", 2],
])("an endless row of %s is refused before more than a few chunks of it were read", async (_, begin, piece, line) => {
  const chunk = Buffer.from(piece.repeat(Math.ceil(2 ** 18 / piece.length)));
  let chunks = 0;
  async function* endless() {
    yield Buffer.from(begin);
    for (;;) {
      // 25 of them are more than a row may have in characters, and a few more may be on the way.
      if (++chunks > 25) throw new Error("it reads on and on");
      yield chunk;
    }
  }
  const message = expect.stringMatching(/^This row has more than (10000 cells|4194304 characters)/);
  await expect(readCsv(endless(), () => undefined)).rejects.toMatchObject({ line, message });
  if (piece === ",") expect(chunks).toBeLessThanOrEqual(3);
});
