/** Texts, what made a column text, and types that are declared. */
import { because, booleans, cells, dates, numbers, texts as classes, unlisted, type Read } from "./case.ts";

const many = (count: number, cell: (i: number) => string) => Array.from({ length: count }, (_, i) => cell(i));

export const texts: Read[] = [
  cells("capitals, which are other classes", ["a", "A", "b"], classes("a", "A", "b")),
  cells("accents", ["é", "e\u0301", "e"], classes("é", "e\u0301", "e")),
  cells("the order of bytes", ["😀", "～", "b", "B", "10"], because(classes("😀", "～", "b", "B", "10"), 2, "😀", /./)),
  cells(
    "words of JavaScript",
    ["constructor", "__proto__", "hasOwnProperty"],
    classes("constructor", "__proto__", "hasOwnProperty"),
  ),
  cells("codes of letters and digits", ["A1", "B2", "A1"], classes("A1", "B2", "A1")),
  cells("versions", ["1.2.3", "1.2.4"], classes("1.2.3", "1.2.4")),
  cells("addresses", ["10.0.0.1", "192.168.0.10"], classes("10.0.0.1", "192.168.0.10")),
  cells("ranges", ["1-5", "6-10"], classes("1-5", "6-10")),
  cells("comparisons", ["<=50K", ">50K"], classes("<=50K", ">50K")),
  cells("a number among words", ["red", "7", "blue"], because(classes("red", "7", "blue"), 2, "red", /./)),
  cells(
    "a word among numbers",
    ["1", "2", "unknown", "3"],
    because(classes("1", "2", "unknown", "3"), 4, "unknown", /./),
  ),
  cells("the first of several words", ["1", "x", "y"], because(classes("1", "x", "y"), 3, "x", /./)),
  cells(
    "as many classes as are listed",
    many(1000, (i) => `c${i}`),
    classes(...many(1000, (i) => `c${i}`)),
  ),
  cells(
    "one class more",
    many(1001, (i) => `c${i}`),
    unlisted(...many(1001, (i) => `c${i}`)),
  ),
  cells(
    "many numbers and then a word",
    [...many(3000, String), "x"],
    because(unlisted(...many(3000, String), "x"), 3002, "x", /./),
  ),
  cells(
    "many numbers and then a token",
    [...many(3000, String), "NA"],
    numbers(...Array.from({ length: 3000 }, (_, i) => i), null),
  ),
  cells("many words and a token", [...many(1500, (i) => `c${i}`), "?"], unlisted(...many(1500, (i) => `c${i}`), null)),
  cells(
    "many long integers",
    many(2000, (i) => `12345678901234${5000 + i}1`),
    because(unlisted(...many(2000, (i) => `12345678901234${5000 + i}1`)), 2, "1234567890123450001", /exact|double/i),
  ),
  cells("declared text", ["a", "b"], unlisted("a", "b"), { query: { columns: '{"c":"text"}' } }),
  cells("declared to be ignored", ["1", "2"], numbers(1, 2), { query: { columns: '{"c":"ignore"}' } }),
  cells("declared categorical, with a missing token", ["1", "?", "2"], classes("1", null, "2"), {
    query: { columns: '{"c":"categorical"}' },
  }),
  cells("declared numeric, with a missing token", ["1", "?", "2"], numbers(1, null, 2), {
    query: { columns: '{"c":"numeric"}' },
  }),
  cells("declared a date", ["2024-01-31", "NA"], dates("2024-01-31", null), { query: { columns: '{"c":"date"}' } }),
  cells("declared boolean", ["yes", "no"], booleans("yes", "no"), { query: { columns: '{"c":"boolean"}' } }),
];
