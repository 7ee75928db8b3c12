/** Missing values, numbers, integers that keep their spelling, decimal marks, signs. */
import { because, booleans, cells, dates, numbers as values, texts, type Read } from "./case.ts";

const TOKENS = [
  "#N/A",
  "#N/A N/A",
  "#NA",
  "-1.#IND",
  "-1.#QNAN",
  "-NaN",
  "-nan",
  "1.#IND",
  "1.#QNAN",
  "<NA>",
  "N/A",
].concat(["NA", "NULL", "NaN", "None", "n/a", "nan", "null", "?", "-", "."]);
const none = TOKENS.map(() => null);

const missing: Read[] = [
  cells("all missing tokens among numbers", [...TOKENS, "", "1.5"], values(...none, null, 1.5)),
  cells("all missing tokens among dates", [...TOKENS, "", "2024-01-31"], dates(...none, null, "2024-01-31")),
  cells("all missing tokens among booleans", [...TOKENS, "", "yes", "no"], booleans(...none, null, "yes", "no")),
  cells(
    "all missing tokens among texts, where NA and None are classes",
    [...TOKENS, "", "a"],
    texts(...TOKENS.map((token) => (token === "NA" || token === "None" ? token : null)), null, "a"),
  ),
  ...TOKENS.map((token) => cells("a missing token among numbers", ["1", token, "2.5"], values(1, null, 2.5))),
  cells("missing tokens between spaces", ["  NA ", "1", " ? "], values(null, 1, null)),
  {
    what: "a missing token in quotes",
    body: 'a,b\n"NA",1\n"2","?"\n',
    columns: { a: values(null, 2), b: values(1, null) },
  },
  cells("missing tokens among percentages", ["10%", "NA", "5%"], values(10, null, 5)),
  cells("missing tokens among prices", ["$10", "-", "$5.50"], values(10, null, 5.5)),
  cells(
    "missing tokens among integers with a leading zero",
    ["007", "", "?"],
    because(texts("007", null, null), 2, "007", /zero/i),
  ),
  cells(
    "a missing token among codes with a leading zero",
    ["01067", "NA", "80331"],
    because(texts("01067", null, "80331"), 2, "01067", /zero/i),
  ),
  cells(
    "a missing token among words and numbers",
    ["A/5 21171", "113803", "?"],
    because(texts("A/5 21171", "113803", null), 2, "A/5 21171", /./),
  ),
  cells("a question mark among texts", ["Private", "?", "State-gov"], texts("Private", null, "State-gov")),
  cells("Namibia", ["DE", "NA", "FR"], texts("DE", "NA", "FR")),
  cells("nothing but empty cells", ["", "", ""], values(null, null, null)),
  ...["na", "N.A.", "missing", "unknown", "--", "Null", "none", "#DIV/0!", "#VALUE!", "#NULL!", "\\N", "x"].map(
    (word) => cells("a word that is no missing token", ["1", word, "2"], because(texts("1", word, "2"), 3, word, /./)),
  ),
  cells("declared missing values in JSON", ["1", "-999", "2", "n.d."], values(1, null, 2, null), {
    query: { missing_values: '["-999","n.d."]' },
  }),
  cells("declared missing values by commas", ["1", "-999", "3", "n.d."], values(1, null, 3, null), {
    query: { missing_values: "-999,n.d." },
  }),
  cells("declared missing values among texts", ["DE", "NA", "?"], texts("DE", null, "?"), {
    query: { missing_values: "NA" },
  }),
  cells("no missing values but empty cells", ["1", "?", ""], because(texts("1", "?", null), 3, "?", /./), {
    query: { missing_values: "" },
  }),
  cells("no missing values, in JSON", ["DE", "?", ""], texts("DE", "?", null), { query: { missing_values: "[]" } }),
];

const plain: Read[] = [
  cells(
    "signs, marks without digits before or after, exponents",
    ["+1", ".5", "1.", "-0.25", "1e3", "2.5E-3"],
    values(1, 0.5, 1, -0.25, 1000, 0.0025),
  ),
  cells("fractions with zeros before and after", ["1.50", "0.1000", "007.50", "00.25"], values(1.5, 0.1, 7.5, 0.25)),
  cells("exponents with zeros", ["01e2", "6.02e+23", "1e05"], values(100, 6.02e23, 1e5)),
  cells(
    "the smallest and the largest",
    ["5e-324", "1.7976931348623157e308", "-1e-999"],
    values(5e-324, 1.7976931348623157e308, -0),
  ),
  cells("numbers between spaces", [" 1", "2 ", "  3.5  "], values(1, 2, 3.5)),
  cells("a minus of typesetters", ["\u22125", "\u22120.5", "3"], values(-5, -0.5, 3)),
  cells("negative numbers in parentheses", ["(5)", "(2.50)", "7"], values(-5, -2.5, 7)),
  cells("a constant", ["0.3", "0.3", "0.3"], values(0.3, 0.3, 0.3)),
  ...[
    "inf",
    "-inf",
    "Infinity",
    "1e999",
    "0x10",
    "0b1",
    "1_000",
    "1.2.3",
    "1/2",
    "5kg",
    "½",
    "1 2",
    "\u20135",
    "٣",
    "\uff13",
    "1e",
    "e5",
    "1,2,3",
  ].map((word) => cells("no number", ["1.5", word, "2.5"], because(texts("1.5", word, "2.5"), 3, word, /./))),
];

const integers: Read[] = [
  cells("leading zeros", ["007", "7", "07"], because(texts("007", "7", "07"), 2, "007", /zero/i)),
  cells(
    "a leading zero late in the column",
    ["10115", "80331", "01067"],
    because(texts("10115", "80331", "01067"), 4, "01067", /zero/i),
  ),
  cells("leading zeros after a sign", ["-01", "5"], because(texts("-01", "5"), 2, "-01", /zero/i)),
  cells("nothing but zeros", ["00", "01"], because(texts("00", "01"), 2, "00", /zero/i)),
  cells("zero", ["0", "-0", "+0", "10"], values(0, -0, 0, 10)),
  cells(
    "integers that no double tells apart",
    ["1234567890123456789", "1234567890123456788", "1234567890123456787"],
    because(
      texts("1234567890123456789", "1234567890123456788", "1234567890123456787"),
      2,
      "1234567890123456789",
      /exact|double/i,
    ),
  ),
  cells(
    "the largest integers that doubles hold one by one",
    ["9007199254740992", "-9007199254740992", "9007199254740991"],
    values(2 ** 53, -(2 ** 53), 2 ** 53 - 1),
  ),
  cells(
    "one more",
    ["9007199254740993", "1"],
    because(texts("9007199254740993", "1"), 2, "9007199254740993", /exact|double/i),
  ),
  cells(
    "a round integer that a double holds exactly",
    ["100000000000000000000", "9007199254740994"],
    values(1e20, 9007199254740994),
  ),
  cells(
    "many digits in a fraction",
    ["0.1234567890123456789", "12345678901234567890.5"],
    values(Number("0.1234567890123456789"), Number("12345678901234567890.5")),
  ),
  cells("telephone numbers with a plus", ["+49301234567", "+33123456789"], values(49301234567, 33123456789)),
  cells("leading zeros that are declared numbers", ["007", "7"], values(7, 7), {
    query: { columns: '{"c":"numeric"}' },
  }),
  cells("integers that are declared classes", ["10", "9", "10"], texts("10", "9", "10"), {
    query: { columns: '{"c":"categorical"}' },
  }),
];

/** Two columns of a file with semicolons. */
function marks(
  what: string,
  decimal: "." | ",",
  rows: readonly string[],
  columns: Read["columns"],
  query: Read["query"] = {},
): Read {
  return {
    what: `${what}: ${rows.join(" | ")}`,
    body: ["a;b", ...rows, ""].join("\n"),
    query,
    reading: { separator: ";", decimal },
    columns,
  };
}

const decimalMarks: Read[] = [
  marks("a decimal comma", ",", ["1,5;7", "2;8"], { a: values(1.5, 2), b: values(7, 8) }),
  marks("a comma without digits before it", ",", [",5;7", "-,25;8"], { a: values(0.5, -0.25), b: values(7, 8) }),
  marks("a decimal comma and an exponent", ",", ["1,5e3;7", "2;8"], { a: values(1500, 2), b: values(7, 8) }),
  marks("a decimal point", ".", ["1.5;7", "2;8"], { a: values(1.5, 2), b: values(7, 8) }),
  marks("points between thousands", ",", ["1.234,56;7", "2.000;8"], { a: values(1234.56, 2000), b: values(7, 8) }),
  marks("points between thousands and millions", ",", ["1.234.567;7", "-2.000.000,5;8"], {
    a: values(1_234_567, -2_000_000.5),
    b: values(7, 8),
  }),
  marks("commas between thousands", ".", ["1,234.56;7", "2,000;8"], { a: values(1234.56, 2000), b: values(7, 8) }),
  marks("commas between thousands and millions", ".", ["1,234,567;7", "12,000;8"], {
    a: values(1_234_567, 12_000),
    b: values(7, 8),
  }),
  marks("a comma that may be either", ".", ["1,234;x", "5,678;y"], {
    a: because(texts("1,234", "5,678"), 2, "1,234", /decimal/),
    b: texts("x", "y"),
  }),
  marks(
    "the same, declared a point",
    ".",
    ["1,234;x", "5,678;y"],
    { a: values(1234, 5678), b: texts("x", "y") },
    { decimal: "." },
  ),
  marks(
    "the same, declared a comma",
    ",",
    ["1,234;x", "5,678;y"],
    { a: values(1.234, 5.678), b: texts("x", "y") },
    { decimal: "," },
  ),
  marks("the same, settled by another column's comma", ",", ["1,234;2,5", "5,678;3"], {
    a: values(1.234, 5.678),
    b: values(2.5, 3),
  }),
  marks("the same, settled by another column's point", ".", ["1,234;2.5", "5,678;3"], {
    a: values(1234, 5678),
    b: values(2.5, 3),
  }),
  marks("the same, settled by a later cell", ",", ["1,234;x", "5,67;y"], {
    a: values(1.234, 5.67),
    b: texts("x", "y"),
  }),
  marks("a point that may be either is a decimal one, and it is told", ".", ["1.234;x", "5.678;y"], {
    a: because(values(1.234, 5.678), 2, "1.234", /between thousands/),
    b: texts("x", "y"),
  }),
  marks("a point between thousands by another column's comma", ",", ["1.234;2,5", "5.678;3"], {
    a: values(1234, 5678),
    b: values(2.5, 3),
  }),
  marks("both marks in two columns", ".", ["1,5;2.5", "2,5;3"], {
    a: because(texts("1,5", "2,5"), 2, "1,5", /2\.5/),
    b: values(2.5, 3),
  }),
  marks("both marks in one column", ".", ["1,5;x", "2.5;y"], {
    a: because(texts("1,5", "2.5"), 2, "1,5", /./),
    b: texts("x", "y"),
  }),
  marks("a comma after a zero, which separates no thousands", ",", ["0,125;x", "0,250;y"], {
    a: values(0.125, 0.25),
    b: texts("x", "y"),
  }),
  marks(
    "a point that is declared to separate thousands and does not",
    ",",
    ["1.5;7", "2;8"],
    {
      a: because(texts("1.5", "2"), 2, "1.5", /./),
      b: values(7, 8),
    },
    { decimal: "," },
  ),
  marks("groups that are not of three", ".", ["1,2345,678;2.5", "5;3"], {
    a: because(texts("1,2345,678", "5"), 2, "1,2345,678", /./),
    b: values(2.5, 3),
  }),
  marks("Indian groups", ".", ["12,34,567;x", "1,00,000.50;y"], {
    a: values(1_234_567, 100_000.5),
    b: texts("x", "y"),
  }),
  marks("spaces between thousands", ".", ["1 234;7", "12 345 678;8"], { a: values(1234, 12_345_678), b: values(7, 8) }),
  marks("spaces between thousands and a comma", ",", ["1 234,5;7", "12 345;8"], {
    a: values(1234.5, 12_345),
    b: values(7, 8),
  }),
  marks("no-break spaces between thousands", ",", ["1\u00a0234,5;7", "2;8"], { a: values(1234.5, 2), b: values(7, 8) }),
  marks("narrow no-break spaces between thousands", ",", ["1\u202f234,5;7", "2;8"], {
    a: values(1234.5, 2),
    b: values(7, 8),
  }),
  marks("thin spaces between thousands", ".", ["1\u2009234.5;7", "2;8"], { a: values(1234.5, 2), b: values(7, 8) }),
  marks("apostrophes between thousands", ".", ["1'234.50;7", "1'000'000;8"], {
    a: values(1234.5, 1_000_000),
    b: values(7, 8),
  }),
  marks("curved apostrophes between thousands", ".", ["1’234.50;7", "2;8"], { a: values(1234.5, 2), b: values(7, 8) }),
  {
    what: "commas between thousands in quotes, in a file with commas",
    body: 'a,b\n"1,234.50",1\n"12,000",2\n',
    columns: { a: values(1234.5, 12_000), b: values(1, 2) },
  },
  {
    what: "thousands in quotes that prove nothing, in a file with commas",
    body: 'a,b\n"1,500",1\n900,2\n',
    columns: { a: because(texts("1,500", "900"), 2, "1,500", /decimal/), b: values(1, 2) },
  },
];

const signs: Read[] = [
  cells("percentages", ["10%", "2.5%", "-3%"], values(10, 2.5, -3)),
  cells("percentages after a space", ["10 %", "2 %"], values(10, 2)),
  cells("percentages after a comma and a no-break space", ["12,5\u00a0%", "2\u00a0%"], values(12.5, 2), {
    reading: { decimal: "," },
  }),
  cells("percentages beside plain numbers", ["10%", "0.2"], because(texts("10%", "0.2"), 3, "0.2", /%|per ?cent/i)),
  cells("dollars", ["$1.50", "$12", "$0.99"], values(1.5, 12, 0.99)),
  cells("dollars with thousands", ["$1,234.50", "$12,000.00"], values(1234.5, 12_000)),
  cells(
    "dollars with thousands that prove nothing",
    ["$1,234", "$12,000"],
    because(texts("$1,234", "$12,000"), 2, "$1,234", /decimal/),
  ),
  cells("dollars below zero", ["-$5.00", "$-6.25", "($7.50)", "$8"], values(-5, -6.25, -7.5, 8)),
  cells("euros before", ["€5", "€ 6.50"], values(5, 6.5)),
  cells("euros after, with a comma", ["1.234,50 €", "5,00 €"], values(1234.5, 5), { reading: { decimal: "," } }),
  cells("euros after a no-break space", ["5,50\u00a0€", "6,00\u00a0€"], values(5.5, 6), { reading: { decimal: "," } }),
  cells("pounds", ["£5.25", "£6"], values(5.25, 6)),
  cells("yen", ["¥500", "¥12000"], values(500, 12_000)),
  cells("rupees", ["₹500.50", "₹12"], values(500.5, 12)),
  cells("codes before", ["USD 5.50", "USD 6"], values(5.5, 6)),
  cells("codes after", ["5.50 EUR", "6 EUR"], values(5.5, 6)),
  cells("Swiss francs", ["CHF 1'234.50", "CHF 5.00"], values(1234.5, 5)),
  cells("Brazilian reais", ["R$ 1.234,50", "R$ 5,00"], values(1234.5, 5), { reading: { decimal: "," } }),
  cells("Swedish kronor", ["12 kr", "1 250 kr"], values(12, 1250)),
  cells("Polish złoty", ["9,99 zł", "12,00 zł"], values(9.99, 12), { reading: { decimal: "," } }),
  cells("two currencies", ["€5", "$6", "€7"], because(texts("€5", "$6", "€7"), 3, "$6", /currenc/i)),
  cells("a currency on some cells", ["$5", "6", "$7"], because(texts("$5", "6", "$7"), 3, "6", /currenc/i)),
  cells("a currency from the second cell on", ["5", "$6", "$7"], because(texts("5", "$6", "$7"), 3, "$6", /currenc/i)),
];

export const numbers: Read[] = [...missing, ...plain, ...integers, ...decimalMarks, ...signs];
