/** Different texts get numbers, and are sorted by their bytes. */
import { expect, test } from "vitest";
import { ranksOf } from "../../../src/data/text/ranks.ts";
import { TextTable } from "../../../src/data/text/text-table.ts";
import { Texts } from "../../../src/data/text/texts.ts";

const mixed = (row: number) => Math.imul(row, 0x9e3779b1) >>> 0;

/** Texts that have much in common, end early, or hold the byte that is 0. */
const texts: Record<string, (row: number) => string> = {
  numbers: (row) => String(mixed(row) % 5000),
  prefixes: (row) => `${"customer ".repeat(row % 3)}${mixed(row) % 700}`,
  endings: (row) => "ab\0".repeat(mixed(row) % 40) + "a".repeat(row % 3),
  long: (row) => `${"x".repeat(40_000)}${row % 60}`,
  unicode: (row) => String.fromCodePoint(0x20 + (mixed(row) % 0xd000), 0x1f600 + (row % 5)),
};

test.each(Object.keys(texts))("%s", (kind) => {
  const rows = Array.from({ length: kind === "long" ? 300 : 4000 }, (_, row) => Buffer.from(texts[kind](row)));
  const table = new TextTable();
  const codes = rows.map((text) => table.add(Buffer.concat([Buffer.from("before"), text]), 6, 6 + text.length));
  const known = new Map<string, number>();
  for (const [row, text] of rows.entries()) {
    const key = text.toString("hex");
    if (!known.has(key)) known.set(key, known.size);
    expect(codes[row]).toBe(known.get(key));
  }
  const distinct = table.texts();
  expect([table.count, distinct.rows]).toEqual([known.size, known.size]);
  expect(table.bytes).toBe(distinct.bytes);
  const ascending = [...known.keys()].map((key) => Buffer.from(key, "hex")).toSorted(Buffer.compare);
  const ranks = ranksOf(distinct);
  const sorted: string[] = [];
  for (let code = 0; code < distinct.rows; code++) sorted[ranks[code]] = Buffer.from(distinct.at(code)).toString("hex");
  expect(sorted).toEqual(ascending.map((text) => text.toString("hex")));
});

test("no text, and one", () => {
  expect([...ranksOf(Texts.of([]))]).toEqual([]);
  expect([...ranksOf(Texts.of([Buffer.from("")]))]).toEqual([0]);
});
