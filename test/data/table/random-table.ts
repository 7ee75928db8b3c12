/** Tables of a seed in which frequent and rare forms of cells, rows and faults meet. */
import type { ReadingOptions, Separator } from "../../../src/data/reading.ts";
import type { Random } from "../../api/generate.ts";

type Cell = () => string;

/** Cells on the borders between numbers, dates, words and texts. */
export const ODD = [
  ..."é|Österreich|東京タワー|Москва|😀 text|ab😀1|ﬁ|Zürich 5|naïve)|A1|B2)|3f2a9b1c|12 Main Street|5th Ave".split("|"),
  ..."EUR 5|kr 12|R$ 3|yes|No|t|F|true|FALSE|NA|None|null|N/A|nan|?|-|.|1e5|1E-3|1e400|-0|+5|0x10|007|00|0".split("|"),
  ..."--5|1..2|1,234|1.234|1,234.5|1.234,5|1'234|12 345|(5)|5%|$3.50|€4|12,34,567|192.168.1.1|1e|e5|.5|5.".split("|"),
  ..."12345678901234567890|9007199254740993|0.1234567890123456789|1e-70|1e70|4.9e-324|20240131|2024-01".split("|"),
  ..."2024-01-31|2024-02-30|31.01.2024|01/02/2024|13/02/2024|02/13/2024|2024-01-31T10:20|2024-01-31 10:20:30".split(
    "|",
  ),
  ..."2024-01-31T10:20:30Z|2024-01-31 10:20:30.1234567890123456Z|20240131T1020|10:20|1/2/24|1;2".split("|"),
  "  ",
  "\u00a0x",
  "x\u3000",
  "“x”",
  "–x–",
  "\ufeffz",
  "\t5\t",
  "5 ",
  "a\tb",
  "a|b",
  "\u2028",
  "x".repeat(300),
];

function kinds(random: Random): Cell[] {
  const two = (below: number) => String(1 + random.below(below)).padStart(2, "0");
  const day = () => `${1950 + random.below(70)}-${two(12)}-${two(28)}`;
  const classes = 1 + random.below(1500);
  let count = 0;
  return [
    () => String(count++),
    () => String(random.below(10 ** 6)),
    () => (random.unit() * 100 - 50).toFixed(random.below(8)),
    () => String((random.unit() - 0.5) * 10 ** (random.below(60) - 30)),
    () => (random.unit() * 1000).toFixed(2).replace(".", ","),
    () => `${random.below(2000)}${random.pick([".", ","])}${String(random.below(1000)).padStart(3, "0")}`,
    () => String(random.below(10 ** 5)).padStart(5, "0"),
    () => String(random.below(10 ** 9)).padEnd(18, "7"),
    () => `${random.below(2000)}%`,
    () => `class ${random.below(classes)}`,
    () => `note number ${random.below(10 ** 6)}`,
    () => random.below(10 ** 9).toString(16),
    day,
    () => `${day()}${random.pick([" ", "T"])}${two(23)}:${two(59)}:${two(59)}${random.pick(["", ".25", "Z"])}`,
    () => `${two(28)}.${two(12)}.${1950 + random.below(70)}`,
    () => random.pick(["true", "false"]),
    () => random.pick(ODD),
    () => "",
  ];
}

interface RandomTable {
  readonly text: string;
  readonly asked: ReadingOptions & { readonly separator: Separator; readonly header: boolean };
}

export function randomTable(random: Random): RandomTable {
  const separator = random.pick<Separator>([",", ";", "\t", "|"]);
  const end = random.pick(["\n", "\n", "\r\n", "\r"]);
  const rows = 1 + random.below(random.chance(0.5) ? 20 : 2500);
  const noise = random.pick([0, 0, 0.001, 0.1]);
  const faults = random.chance(0.2) ? 2 / rows : 0;
  const columns = Array.from({ length: 1 + random.below(5) }, () => {
    const [kind, other] = [random.pick(kinds(random)), random.pick(kinds(random))];
    const odds = random.pick([0, 0, 0.001, 0.1]);
    return () => (random.chance(odds) ? random.pick([other, () => "", () => random.pick(ODD)])() : kind());
  });
  const gap = () => (random.chance(noise) ? random.pick([" ", "  ", "\u00a0"]) : "");
  const quoted = (cell: string) => {
    const text = random.chance(noise) ? cell + random.pick(['"', '""', "\n", "\r\n", "\r", separator]) : cell;
    const must = /["\r\n]/.test(text) || text.includes(separator) || random.chance(noise);
    return gap() + (must ? `"${text.replaceAll('"', '""')}"` : text) + gap();
  };
  const wrong = (cells: string[]): string[] =>
    random.pick([cells.slice(1), [...cells, "x"], ['a"b'], ['"a"b'], ['"open'], ["y".repeat(70_000)]]);
  const row = () => {
    const cells = columns.map((cell) => quoted(cell()));
    return (random.chance(faults) ? wrong(cells) : cells).join(separator);
  };
  const blank = () => random.pick(["", separator.repeat(columns.length - 1), "  ", "# remark", "\r"]);
  const lines = Array.from({ length: rows }, () => (random.chance(noise / 5) ? blank() + end : "") + row() + end);
  const header = random.chance(0.9);
  const names = header ? columns.map((_, i) => `c${i}`).join(separator) + end : "";
  const all = names + lines.join("");
  const asked = {
    separator,
    header,
    decimal: random.pick([null, null, ".", ","] as const),
    encoding: null,
    comment: random.pick([null, null, "#"]),
    missing_values: random.pick([null, null, [], ["5", "2024-01-31", "a", "東京タワー"]]),
    columns: header && random.chance(0.2) ? { c0: random.pick(["numeric", "date", "text", "boolean"] as const) } : null,
  };
  return { text: random.chance(0.3) ? all.slice(0, -end.length) : all, asked };
}
