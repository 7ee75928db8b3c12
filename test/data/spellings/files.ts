/** Separators, quotes, spaces, lines. */
import { because, numbers, texts, unlisted, type Read } from "./case.ts";

const separators: Read[] = [
  {
    what: "commas",
    body: "x,y\n1,a\n2,b\n",
    columns: { x: numbers(1, 2), y: texts("a", "b") },
  },
  {
    what: "semicolons",
    body: "x;y\n1.5;a\n2;b\n",
    reading: { separator: ";" },
    columns: { x: numbers(1.5, 2), y: texts("a", "b") },
  },
  {
    what: "tabs",
    body: "x\ty\n1\ta b\n2\tb\n",
    reading: { separator: "\t" },
    columns: { x: numbers(1, 2), y: texts("a b", "b") },
  },
  {
    what: "pipes",
    body: "x|y|z\n1|a, b|3\n2|c|4\n",
    reading: { separator: "|" },
    columns: { x: numbers(1, 2), y: texts("a, b", "c"), z: numbers(3, 4) },
  },
  {
    what: "a table of one column",
    body: "x\n1.5\n2\n",
    columns: { x: numbers(1.5, 2) },
  },
  {
    what: "semicolons beside more commas in texts",
    body: "id;note\n1;first, second, third\n2;a, b, c\n",
    reading: { separator: ";" },
    columns: { id: numbers(1, 2), note: texts("first, second, third", "a, b, c") },
  },
  {
    what: "semicolons beside a comma in each number",
    body: "a;b;c\n1,5;2,5;3,5\n4,5;5,5;6,5\n",
    reading: { separator: ";", decimal: "," },
    columns: { a: numbers(1.5, 4.5), b: numbers(2.5, 5.5), c: numbers(3.5, 6.5) },
  },
  {
    what: "commas beside semicolons in quotes",
    body: 'a,b\n"x; y; z",1\n"u; v; w",2\n',
    columns: { a: texts("x; y; z", "u; v; w"), b: numbers(1, 2) },
  },
  {
    what: "tabs beside decimal commas",
    body: "a\tb\n1,5\t2\n2,25\t3\n",
    reading: { separator: "\t", decimal: "," },
    columns: { a: numbers(1.5, 2.25), b: numbers(2, 3) },
  },
  {
    what: "commas beside decimal commas in quotes",
    body: 'a,b\n"1,5",2\n"2,25",3\n',
    reading: { decimal: "," },
    columns: { a: numbers(1.5, 2.25), b: numbers(2, 3) },
  },
  {
    what: "commas in a header whose quoted name holds semicolons",
    body: '"a;b;c;d",e\n1,2\n3,4\n',
    columns: { "a;b;c;d": numbers(1, 3), e: numbers(2, 4) },
  },
  {
    what: "a separator line with a semicolon",
    body: "sep=;\nx;y\n1,5;2\n2;3\n",
    reading: { separator: ";", decimal: "," },
    columns: { x: numbers(1.5, 2), y: numbers(2, 3) },
  },
  {
    what: "a separator line that ends in CRLF, with a comma",
    body: "sep=,\r\nx,y\r\n1,2\r\n",
    columns: { x: numbers(1), y: numbers(2) },
  },
  {
    what: "a separator line with a tab",
    body: "sep=\t\nx\ty\n1\t2\n",
    reading: { separator: "\t" },
    columns: { x: numbers(1), y: numbers(2) },
  },
  {
    what: "a separator line after a byte order mark, and a fault's line that counts it",
    body: "\uFEFFsep=|\nx|y\n1|2\nb|3\n",
    reading: { separator: "|" },
    columns: { x: because(texts("1", "b"), 4, "b", /./), y: numbers(2, 3) },
  },
  {
    what: "a separator line against what the lines look like",
    body: "sep=;\nname;note\na, b;c, d\ne, f;g, h\n",
    reading: { separator: ";" },
    columns: { name: texts("a, b", "e, f"), note: texts("c, d", "g, h") },
  },
  {
    what: "a declared separator",
    body: "a;b,c\n1;2,3\n4;5,6\n",
    query: { separator: "," },
    columns: { "a;b": texts("1;2", "4;5"), c: numbers(3, 6) },
  },
  {
    what: "a declared tab",
    body: "a,b\tc\n1,2\t3\n",
    query: { separator: "\t", decimal: "." },
    reading: { separator: "\t" },
    columns: { "a,b": because(texts("1,2"), 2, "1,2", /decimal/), c: numbers(3) },
  },
];
const quotes: Read[] = [
  {
    what: "quotes within quotes",
    body: 'a,b\n"say ""hi""",1\n"""",2\n',
    columns: { a: texts('say "hi"', '"'), b: numbers(1, 2) },
  },
  {
    what: "line breaks within quotes",
    body: 'a,b\n"two\nlines",1\n"two\r\nmore",2\nx,y\n',
    columns: { a: texts("two\nlines", "two\r\nmore", "x"), b: because(texts("1", "2", "y"), 6, "y", /./) },
  },
  {
    what: "separators within quotes",
    body: 'a;b\n"x;y";1\n";";2\n',
    reading: { separator: ";" },
    columns: { a: texts("x;y", ";"), b: numbers(1, 2) },
  },
  {
    what: "all cells in quotes",
    body: '"a","b"\r\n"1","x"\r\n"2.5","y"\r\n',
    columns: { a: numbers(1, 2.5), b: texts("x", "y") },
  },
  {
    what: "an empty cell in quotes",
    body: 'a,b\n"",1\nx,""\n',
    columns: { a: texts(null, "x"), b: numbers(1, null) },
  },
  {
    what: "single quotes, which quote nothing",
    body: "a,b\n'x',1\nit's,2\n",
    columns: { a: texts("'x'", "it's"), b: numbers(1, 2) },
  },
  {
    what: "a quote that closes at the end of the file",
    body: 'a,b\n1,"x"',
    columns: { a: numbers(1), b: texts("x") },
  },
  {
    what: "a space before a quote",
    body: 'a, b\n1, "x, y"\n2, "z"\n',
    columns: { a: numbers(1, 2), b: texts("x, y", "z") },
  },
  {
    what: "a backslash, which escapes nothing",
    body: 'a,b\n"C:\\",1\n\\N,2\n',
    columns: { a: texts("C:\\", "\\N"), b: numbers(1, 2) },
  },
];

const spaces: Read[] = [
  {
    what: "spaces around cells and names",
    body: "a , b\n 1 , x \n  2,y\n3 ,  x\n",
    columns: { a: numbers(1, 2, 3), b: texts("x", "y", "x") },
  },
  {
    what: "spaces within quotes, which belong to the cell",
    body: 'a,b\n" x ",1\nx,2\n',
    columns: { a: texts(" x ", "x"), b: numbers(1, 2) },
  },
  {
    what: "cells of nothing but spaces",
    body: "a,b\n  ,1\n2,   \n",
    columns: { a: numbers(null, 2), b: numbers(1, null) },
  },
  {
    what: "a column padded to one width",
    body: "   a|    b\n   1|  x  \n  10|  yy \n",
    reading: { separator: "|" },
    columns: { a: numbers(1, 10), b: texts("x", "yy") },
  },
];

const lines: Read[] = [
  { what: "CRLF", body: "a,b\r\n1,x\r\n", columns: { a: numbers(1), b: texts("x") } },
  {
    what: "LF beside CRLF",
    body: "a,b\r\n1,x\n2,y\r\n3,z",
    columns: { a: numbers(1, 2, 3), b: texts("x", "y", "z") },
  },
  { what: "no end of the last line", body: "a,b\n1,x", columns: { a: numbers(1), b: texts("x") } },
  { what: "blank lines at the end", body: "a,b\n1,x\n\n\r\n\n", columns: { a: numbers(1), b: texts("x") } },
  {
    what: "blank lines at the end of a table of one column",
    body: "a\n1\n2\n\n\n",
    columns: { a: numbers(1, 2) },
  },
  { what: "a last line of spaces", body: "a,b\n1,x\n  \n", columns: { a: numbers(1), b: texts("x") } },
  {
    what: "blank lines between rows, which count as lines",
    body: "a,b\n\n1,x\n\n\nn,y\n",
    columns: { a: because(texts("1", "n"), 6, "n", /./), b: texts("x", "y") },
  },
  { what: "a blank line before the header", body: "\n\r\na,b\n1,x\n", columns: { a: numbers(1), b: texts("x") } },
  {
    what: "blank lines in a table of one column, which are missing values",
    body: "a\n1\n\n3\n",
    columns: { a: numbers(1, null, 3) },
  },
  {
    what: "a row of separators, which is a row of missing values",
    body: "a,b\n1,x\n,\n2,y\n",
    columns: { a: numbers(1, null, 2), b: texts("x", null, "y") },
  },
  {
    what: "a blank line after each line, as Python writes on Windows without newline=''",
    body: "a,b\r\r\n1,x\r\r\n2,y\r\r\n",
    columns: { a: numbers(1, 2), b: texts("x", "y") },
  },
  {
    what: "comment lines",
    body: "# made by hand\na,b\n1,x\n#2,y\n3,#z\n",
    query: { comment: "#" },
    columns: { a: numbers(1, 3), b: texts("x", "#z") },
  },
  {
    what: "what looks like a comment and is not declared one",
    body: "#,b\n1,x\n2,y\n",
    columns: { "#": numbers(1, 2), b: texts("x", "y") },
  },
  {
    what: "rows after many blank lines",
    body: `a,b\n${"\n".repeat(5000)}1,x\n`,
    columns: { a: numbers(1), b: texts("x") },
  },
];

const essay = "one, two, three; four\n".repeat(2900);
const wide = Array.from({ length: 2000 }, (_, i) => `c${i}`);
const long: Read[] = [
  {
    what: "a first row longer than most files",
    body: `id|text\n1|"${essay}"\n2|b\n`,
    reading: { separator: "|" },
    columns: { id: numbers(1, 2), text: unlisted(essay, "b") },
  },
  {
    what: "2,000 columns",
    body: `${wide.join(";")}\n${wide.map((_, i) => `${i},5`).join(";")}\n`,
    reading: { separator: ";", decimal: "," },
    columns: Object.fromEntries(wide.map((name, i) => [name, numbers(i + 0.5)])),
  },
  {
    what: "a cell longer than a class may be",
    body: `a,b\n1,${"x".repeat(257)}\n2,y\n`,
    columns: { a: numbers(1, 2), b: unlisted("x".repeat(257), "y") },
  },
];

export const files: Read[] = [...separators, ...quotes, ...spaces, ...lines, ...long];
