import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { FIRST_READING, type ReadingOptions } from "../../../src/data/reading.ts";
import { DatasetTooLarge } from "../../../src/data/dataset.ts";
import { tableOf, valuesOf } from "./support.ts";

const text = "name,größe\nÄnne,1\n€uro,2\n";
const windows = Buffer.from("name,gr\xf6\xdfe\n\xc4nne,1\n\x80uro,2\n", "latin1");
const swapped = (bytes: Buffer) => Buffer.from(bytes).swap16();

test.each<[string, Buffer, string]>([
  ["UTF-8", Buffer.from(text), "utf-8"],
  ["UTF-8 with a byte order mark", Buffer.from(`\uFEFF${text}`), "utf-8"],
  ["UTF-16 LE with one", Buffer.from(`\uFEFF${text}`, "utf16le"), "utf-16le"],
  ["UTF-16 LE without", Buffer.from(text, "utf16le"), "utf-16le"],
  ["UTF-16 BE with one", swapped(Buffer.from(`\uFEFF${text}`, "utf16le")), "utf-16be"],
  ["UTF-16 BE without", swapped(Buffer.from(text, "utf16le")), "utf-16be"],
  ["Windows-1252", windows, "windows-1252"],
])("%s is recognised", async (_, bytes, encoding) => {
  for (const [asked, given] of [
    [{}, bytes],
    [{ encoding }, bytes],
    [{}, gzipSync(bytes)],
  ] as [Partial<ReadingOptions>, Buffer][]) {
    const table = await tableOf(given, asked);
    expect([table.reading.encoding, table.names, table.rows]).toEqual([encoding, ["name", "größe"], 2]);
    expect(table.columns[0].summary.classes).toEqual(["Änne", "€uro"]);
  }
});

const long = "x,1\n".repeat(2 ** 19);

test("one byte that is not UTF-8, megabytes after the start, decides the encoding", async () => {
  const late = Buffer.concat([Buffer.from(`a,b\n${long}`), Buffer.from("caf\xe9,2\n", "latin1")]);
  const { reading, columns } = await tableOf(late);
  expect([reading.encoding, columns[0].summary.classes]).toEqual(["windows-1252", ["café", "x"]]);
});

test.each<[string, string | Buffer, number | null, RegExp, Partial<ReadingOptions>?]>([
  ["UTF-8 with one other line", Buffer.from("a,b\n\xc3\xa9,1\n\xe9,2\n", "latin1"), 3, /other lines are/],
  [
    "UTF-8 with one other line, late",
    Buffer.concat([Buffer.from(`a,b\né,1\n${long}`), Buffer.from("\xe9,2\n", "latin1")]),
    2 ** 19 + 3,
    /not UTF-8, but other lines are\. .*\?encoding=windows-1252/,
  ],
  ["a character that is cut off at the end", Buffer.from("a,b\n1,é").subarray(0, -1), 2, /cut off/],
  ["a character of three bytes that lacks one", Buffer.from("a,b\n1,€").subarray(0, -1), 2, /cut off/],
  ["a character of three bytes that lacks two", Buffer.from("a,b\n1,€").subarray(0, -2), 2, /cut off/],
  ["a character of four bytes that lacks one", Buffer.from("a,b\n1,😀").subarray(0, -1), 2, /cut off/],
  ["a character of four bytes that lacks three", Buffer.from("a,b\n1,😀").subarray(0, -3), 2, /cut off/],
  ["what is no Windows-1252 either", Buffer.from("a,b\n1,2\n\x9d\xe9,2\n", "latin1"), 3, /neither UTF-8 nor/],
  ["what was declared UTF-8 and is not", windows, 1, /not UTF-8\. .*\?encoding=/, { encoding: "utf-8" }],
  ["what no Windows-1252 is", Buffer.from("a\n\x81\n", "latin1"), 2, /Windows-1252/, { encoding: "windows-1252" }],
  ["another byte order mark than declared", `\uFEFF${text}`, 1, /mark of utf-8/, { encoding: "windows-1252" }],
  ["a NUL byte", "a,b\r\n1,2\r\n3,\0\r\n", 3, /NUL/],
  ["a NUL byte after the last line break", "a,b\n1,2\n3,\0", 3, /NUL/],
  ["a NUL in lines that end with CR", "a,b\r1,2\r3,\0", 3, /NUL/],
  ["a NUL character in UTF-16", Buffer.from("a,b\n1,2\n3,\0\n", "utf16le"), 3, /NUL/],
  ["half a character of UTF-16", Buffer.from("\uFEFFa,b\n1,2\n3", "utf16le").subarray(0, -1), 3, /cut off/],
  ["half a pair of UTF-16", Buffer.from("a,b\n1,2\n\ud800,2\n", "utf16le"), 3, /not a character of UTF-16/],
  ["gzip that is cut off", gzipSync("a,b\n1,2\n").subarray(0, -5), null, /damaged or cut off/],
  ["gzip that is damaged", Buffer.from(gzipSync(long)).fill(1, 20, 40), null, /damaged or cut off/],
  ["gzip within gzip", gzipSync(gzipSync("a,b\n1,2\n")), null, /gzip twice/],
  ["an Excel workbook", Buffer.from("PK\x03\x04\x14\x00\x06\x00"), null, /\.xlsx\).*Save the table as CSV/],
  ["Feather 1", "FEA1\0\0\0\0", null, /Feather.*Save the table as Parquet or CSV/],
  ["JSON", ' [ {"a": 1}]\n', null, /JSON.*inline/],
  ["a form", '--X\r\nContent-Disposition: form-data; name="file"\r\n\r\na,b\r\n', null, /form.*--data-binary/],
  ["a pickle", Buffer.from("80049500", "hex"), null, /pickle.*Parquet/],
  ["a web page", "\n<!DOCTYPE html>\n<html>\n", null, /web page/],
  ["an empty file", "", 1, /empty/],
  ["only a byte order mark", "\uFEFF", 1, /empty/],
  ["blank lines", "\n \n,,\n", 1, /empty/],
  ["a header alone", "\na,b\n", 2, /no rows/],
])("%s is refused with its line", async (_, bytes, line, message, asked = {}) => {
  await expect(tableOf(bytes, asked)).rejects.toMatchObject({ line, message: expect.stringMatching(message) });
});

test("gzip of several members is one table, and its limit is that of the unpacked bytes", async () => {
  const members = Buffer.concat([gzipSync("a,b\n1,"), gzipSync("2\n3,4\n")]);
  expect(await valuesOf(members)).toEqual({ a: [1, 3], b: [2, 4] });
  const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20, "1,2\n"));
  await expect(tableOf(bomb, {}, 2 ** 20)).rejects.toThrow(DatasetTooLarge);
  expect((await tableOf(gzipSync("a\n1\n"), {}, 4)).rows).toBe(1);
  await expect(tableOf(gzipSync("a\n1\n"), {}, 3)).rejects.toThrow(DatasetTooLarge);
});

test.each<[string, string, string, string[], Partial<ReadingOptions>?]>([
  ["commas", "a,b\n1,2\n", ",", ["a", "b"]],
  ["semicolons", "a;b\n1;2\n", ";", ["a", "b"]],
  ["tabs", "a\tb\n1\t2\n", "\t", ["a", "b"]],
  ["pipes", "a|b\n1|2\n", "|", ["a", "b"]],
  ["one column", "a\n1\n2\n", ",", ["a"]],
  ["one column of texts with some semicolons", "a\nx; y\nz\nv; w; u\n", ",", ["a"]],
  ["semicolons around decimal commas", "a;b\n1,5;2,5\n3,5;4,5\n", ";", ["a", "b"]],
  ["a comma in each name and number", "a,x;b\n1,5;2\n3,5;4\n", ";", ["a,x", "b"]],
  ["decimal commas without a header", "1,5;1,5\n3,5;4,5\n", ";", ["column_1", "column_2"], { header: false }],
  ["separators of others in quotes", 'a,b\n"x;y",1\n"x;y;z",2\n', ",", ["a", "b"]],
  ["quoted cells", '"a;1";"b,2"\n"x;y";"1,5"\n', ";", ["a;1", "b,2"]],
  ["a row that is ragged", "a;b,x\n1;2\n3;4\n", ";", ["a", "b,x"]],
  ["a line that names it", "sep=;\r\na,b;c\r\n1,5;2\r\n", ";", ["a,b", "c"]],
  ["a quoted line that names a tab", '"SEP=\t"\na,1\tb\n1\t2\n', "\t", ["a,1", "b"]],
  ["a line that names it after a byte order mark", "\uFEFFsep=|\na|b\n1|2\n", "|", ["a", "b"]],
  ["a line that names it, and a declaration", "sep=;\na;b,c\n1;2,3\n", ",", ["a;b", "c"], { separator: "," }],
  ["a comment above", "# x;y;z\na,b\n1,2\n", ",", ["a", "b"], { comment: "#" }],
])("the separator is found: %s", async (_, bytes, separator, names, asked = {}) => {
  const table = await tableOf(bytes, asked);
  expect([table.reading.separator, table.names]).toEqual([separator, names]);
});

test("a first line that names a separator counts as a line, and a separator that is not allowed is refused", async () => {
  await expect(tableOf("sep=;\na;b\n1;2\n3\n")).rejects.toMatchObject({ line: 4 });
  await expect(tableOf("sep=:\na:b\n1:2\n")).rejects.toMatchObject({
    line: 1,
    message: /comma, semicolon, tab or pipe/,
  });
});

test.each<[string, string, number, RegExp, Partial<ReadingOptions>?]>([
  ["too few cells", "a,b\n1,2\n3\n", 3, /1 cell, but the header names 2 columns\. Write a comma for each cell/],
  ["too many cells", "a;b\n1;2\n3;4;5\n", 3, /3 cells, but the header names 2 columns\. Put quotes .* semicolon/],
  ["a title above the header", "My table\na;b\n1;2\n3;4\n5;6\n", 2, /names 1 column\. .*If line 1 is a title/],
  ["another separator", "a;b;c\n1,5;2;3\n4;5;6\n", 2, /say \?separator=semicolon/, { separator: "," }],
  ["a ragged line of separators", "a,b\n1,2\n,,\n3,4\n", 3, /3 cells/],
  ["a separator that ends each row", "a;b\n1;2;\n3;4;\n5;6;\n", 2, /Remove the semicolon that ends the row, or name/],
  ["row names without a name", "x\ty\n1\t5\t6\n2\t7\t8\n3\t9\t9\n", 2, /or name one more column in line 1/],
  ["a remark below the rows", "a,b\n1,2\n3,4\nSource: me\n", 4, /If the line is a remark, remove it/],
  ["decimal commas in one column", "a\n1,5\n2,5\n3,5\n", 2, /Put quotes/],
])("a ragged row is refused with a remedy: %s", async (_, bytes, line, message, asked = {}) => {
  await expect(tableOf(bytes, asked)).rejects.toMatchObject({ line, message: expect.stringMatching(message) });
});

test("blank lines are left out, unless they are the missing values of the only column", async () => {
  expect(await valuesOf("\n;;\na;b;c\n\n1;2;3\n \n;;\n4;5;6\n;;\n;;;;\n\n")).toEqual({
    a: [1, Number.NaN, 4],
    b: [2, Number.NaN, 5],
    c: [3, Number.NaN, 6],
  });
  expect(await valuesOf('a\n1\n\n2\n""\n\n')).toEqual({ a: [1, Number.NaN, 2, Number.NaN] });
  expect(await valuesOf("a\n1\n\n2\n\n", FIRST_READING)).toEqual({ a: [1, Number.NaN, 2, Number.NaN] });
});

test.each<[string, string, number, RegExp, Partial<ReadingOptions>?]>([
  ["a column without a name", "a,,c\n1,2,3\n", 1, /Column 2 has no name\. Name it/],
  ["a separator at the end of each line", "\na,b,\n1,2,\n", 2, /Column 3 has no name\. .*remove the separator/],
  ["separators at the end of each line", "a,b,,\n1,2,,\n", 1, /Column 3 has no name\. .*remove the 2 separators/],
  ["a title among separators", "Report;;\na;b;c\n1;2;3\n", 1, /Column 2 has no name\. .*is a title .*remove it/],
  ["a name twice", 'a, a \n1,"2"\n', 1, /Two columns are named "a"/],
  ["numbers for names", "1,2\n3,4\n", 1, /only numbers.*\?header=false/],
  ["numbers with decimal commas for names", "1,5;2\n3,5;4\n", 1, /only numbers/],
  ["a type for a column that is not there", "a,b\n1,2\n", 1, /"z".*There are: "a", "b"\./, { columns: { z: "text" } }],
  ["a first column without a name that repeats numbers", ",a\n0,1\n0,2\n", 1, /no name.*"0" in line 3/],
  ["a first column without a name that holds texts", ",a\n0,1\nx,2\n", 1, /no name.*"x" in line 3/],
])("a header is refused: %s", async (_, bytes, line, message, asked = {}) => {
  await expect(tableOf(bytes, asked)).rejects.toMatchObject({ line, message: expect.stringMatching(message) });
});

test("numbers are names if a header was declared", async () => {
  expect((await tableOf("2019,2020\n3,4\n", { header: true })).names).toEqual(["2019", "2020"]);
});

test("the index of pandas gets an unused name, and is not a feature", async () => {
  const plain = await tableOf(",a\n2,x\n0,y\n100000,z\n");
  expect([plain.names, plain.reading.columns]).toEqual([["index", "a"], { index: "ignore" }]);
  const taken = await tableOf('"",index,b\n"1",x,1\n"2",y,2\n', { columns: { b: "categorical" } });
  expect(taken.names).toEqual(["index_1", "index", "b"]);
  expect(taken.reading.columns).toEqual({ index_1: "ignore", b: "categorical" });
  const declared = await tableOf(",a\n0,x\n1,y\n", { columns: { index: "numeric" } });
  expect(declared.reading.columns).toEqual({ index: "numeric" });
});

test.each<[string, string | Buffer, Partial<ReadingOptions>]>([
  ["a plain one", "a,b\n1,x\n2.5,y\n", {}],
  ["one with all that can be declared", "#\n1;x\n2,5;?\n", { header: false, comment: "#", missing_values: ["?"] }],
  ["an index, a sep= line and types", "sep=;\n;z\n0;01\n1;02\n", { columns: { z: "categorical" } }],
  ["Windows-1252", windows, {}],
  ["numbers for names", "1,2\n3,4\n", { header: true }],
])("a reading can be repeated: %s", async (_, bytes, asked) => {
  const first = await tableOf(bytes, asked);
  const again = await tableOf(bytes, first.reading);
  expect(again).toEqual(first);
});

test("version 1 keeps what it kept: spaces, CR and sep= lines", async () => {
  const v1 = await tableOf("sep=;,b\n x ,1\r2\r\n", FIRST_READING);
  expect(v1.names).toEqual(["sep=;", "b"]);
  expect(v1.columns.map(({ summary }) => summary.classes)).toEqual([[" x "], ["1\r2"]]);
});
