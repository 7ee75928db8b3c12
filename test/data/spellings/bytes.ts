/** Headers, encodings, compression, media types. */
import { gzipSync } from "node:zlib";
import { numbers, texts, type Read } from "./case.ts";

const utf16 = (text: string) => Buffer.from(`\uFEFF${text}`, "utf16le");
const bigEndian = (text: string) => utf16(text).swap16();
const latin1 = (text: string) => Buffer.from(text, "latin1");
const gzipped = { "content-encoding": "gzip" };

export const headers: Read[] = [
  {
    what: "no header",
    body: "5.1,a\n4.9,b\n",
    query: { header: "false" },
    reading: { header: false },
    columns: { column_1: numbers(5.1, 4.9), column_2: texts("a", "b") },
  },
  {
    what: "no header, and only numbers",
    body: "1;2,5\n3;4,5\n",
    query: { header: "false" },
    reading: { header: false, separator: ";", decimal: "," },
    columns: { column_1: numbers(1, 3), column_2: numbers(2.5, 4.5) },
  },
  {
    what: "a header that is declared",
    body: "a,b\n1,x\n",
    query: { header: "true" },
    columns: { a: numbers(1), b: texts("x") },
  },
  {
    what: "names in other letters, with quotes and line breaks",
    body: '"größe, m",名前,"two\nlines"\n1,x,2\n',
    columns: { "größe, m": numbers(1), 名前: texts("x"), "two\nlines": numbers(2) },
  },
  {
    what: "names some of which are numbers",
    body: "id,2023.1,2023.2\n1,5,6\n",
    columns: { id: numbers(1), "2023.1": numbers(5), "2023.2": numbers(6) },
  },
  {
    what: "names that are words of JavaScript",
    body: "constructor,__proto__,toString\n1,2,x\n",
    columns: Object.fromEntries([
      ["constructor", numbers(1)],
      ["__proto__", numbers(2)],
      ["toString", texts("x")],
    ]),
  },
  {
    what: "pandas' index",
    body: ",x\n0,5\n1,7\n2,9\n",
    columns: { index: numbers(0, 1, 2), x: numbers(5, 7, 9) },
  },
  {
    what: "pandas' index of chosen rows",
    body: ",x\n17,5\n3,7\n250,9\n",
    columns: { index: numbers(17, 3, 250), x: numbers(5, 7, 9) },
  },
  {
    what: "pandas' index where a column has its name",
    body: ",index\n0,5\n1,7\n",
    columns: { index_1: numbers(0, 1), index: numbers(5, 7) },
  },
  {
    what: "R's row numbers",
    body: '"","x"\n"1",5\n"2",7\n',
    columns: { index: numbers(1, 2), x: numbers(5, 7) },
  },
];

export const encodings: Read[] = [
  { what: "a byte order mark of UTF-8", body: "\uFEFFa,b\n1,é\n", columns: { a: numbers(1), b: texts("é") } },
  {
    what: "a byte order mark before a quote",
    body: '\uFEFF"a","b"\n1,x\n',
    columns: { a: numbers(1), b: texts("x") },
  },
  { what: "UTF-8 with emoji", body: "a,b\n1,😀\n2,日本\n", columns: { a: numbers(1, 2), b: texts("😀", "日本") } },
  {
    what: "UTF-16, as Excel's Unicode text",
    body: utf16("größe\tx\r\n1,5\tä\r\n2\t😀\r\n"),
    reading: { encoding: "utf-16le", separator: "\t", decimal: "," },
    columns: { größe: numbers(1.5, 2), x: texts("ä", "😀") },
  },
  {
    what: "UTF-16 the other way round",
    body: bigEndian("a,b\n1,ü\n"),
    reading: { encoding: "utf-16be" },
    columns: { a: numbers(1), b: texts("ü") },
  },
  {
    what: "UTF-16 without a byte order mark, declared",
    body: Buffer.from("a,b\n1,ü\n", "utf16le"),
    query: { encoding: "utf-16le" },
    reading: { encoding: "utf-16le" },
    columns: { a: numbers(1), b: texts("ü") },
  },
  {
    what: "Latin-1",
    body: latin1("a,b\n1,Köln\n2,Besançon\n"),
    reading: { encoding: "windows-1252" },
    columns: { a: numbers(1, 2), b: texts("Köln", "Besançon") },
  },
  {
    what: "Windows-1252 with euro and curved quotes",
    body: Buffer.concat([
      latin1("a;b\n1,50 "),
      Buffer.from([0x80]),
      latin1(";"),
      Buffer.from([0x93, 0x78, 0x94]),
      latin1("\n2,00 "),
      Buffer.from([0x80]),
      latin1(";"),
      Buffer.from([0x96]),
      latin1("\n"),
    ]),
    reading: { encoding: "windows-1252", separator: ";", decimal: "," },
    columns: { a: numbers(1.5, 2), b: texts("“x”", "–") },
  },
  {
    what: "Windows-1252 with no-break spaces in numbers, as Excel writes in French",
    body: latin1("a;b\n1\xa0234,50;\xe9\n12\xa0000,00;x\n"),
    reading: { encoding: "windows-1252", separator: ";", decimal: "," },
    columns: { a: numbers(1234.5, 12_000), b: texts("é", "x") },
  },
  {
    what: "UTF-8 that is declared Windows-1252",
    body: "a,b\n1,é\n",
    query: { encoding: "windows-1252" },
    reading: { encoding: "windows-1252" },
    columns: { a: numbers(1), b: texts("Ã©") },
  },
  {
    what: "UTF-16 of many chunks",
    body: utf16(`a;b\r\n${"1,5;\u{1F600}x\r\n".repeat(40_000)}`),
    reading: { encoding: "utf-16le", separator: ";", decimal: "," },
    columns: {
      a: numbers(...Array.from({ length: 40_000 }, () => 1.5)),
      b: texts(...Array.from({ length: 40_000 }, () => "\u{1F600}x")),
    },
  },
  {
    what: "one byte of Latin-1 after many of ASCII",
    body: latin1(`a,b\n${"1,x\n".repeat(100_000)}2,\xe9\n`),
    reading: { encoding: "windows-1252" },
    columns: {
      a: numbers(...Array.from({ length: 100_000 }, () => 1), 2),
      b: texts(...Array.from({ length: 100_000 }, () => "x"), "é"),
    },
  },
];

const sound = { a: numbers(1), b: texts("x") };
export const compressed: Read[] = [
  { what: "a gzip body", body: gzipSync("a,b\n1,x\n"), columns: sound },
  { what: "gzip as Content-Encoding", body: gzipSync("a,b\r\n1,x\n"), headers: gzipped, columns: sound },
  {
    what: "a gzip file sent as Content-Encoding gzip",
    body: gzipSync(gzipSync("a,b\r\n1,x\r\n")),
    headers: gzipped,
    columns: sound,
  },
  {
    what: "gzip of two parts",
    body: Buffer.concat([gzipSync("a,b\n1,"), gzipSync("x\n\n")]),
    columns: sound,
  },
  {
    what: "gzip of UTF-16",
    body: gzipSync(utf16("a\tb\n1\tx\n")),
    reading: { encoding: "utf-16le", separator: "\t" },
    columns: sound,
  },
  ...["application/vnd.ms-excel", "application/csv", "application/octet-stream"].map((type, i) => ({
    what: `the media type ${type}`,
    body: `a,b\n1,x${"\n".repeat(i + 10)}`,
    headers: { "content-type": type },
    columns: sound,
  })),
  {
    what: "the media type of tabs",
    body: "a\tb\n1\tx\n",
    headers: { "content-type": "text/tab-separated-values" },
    reading: { separator: "\t" },
    columns: sound,
  },
  {
    what: "the media type of gzip",
    body: gzipSync("a,b\n1,x\n\n\n\n"),
    headers: { "content-type": "application/gzip" },
    columns: sound,
  },
];
