/**
 * Tables of a seed: columns of every kind, written in one of the ways in which tables are written.
 */
import type { Encoding, Separator } from "../../src/data/reading.ts";
import { Random } from "../api/generate.ts";

interface Generated {
  readonly bytes: Buffer;
  readonly separator: Separator;
  readonly encoding: Encoding;
  /** Python's name of the encoding. */
  readonly python: string;
  /** Lines before the header. */
  readonly skip: number;
}

type Cell = (random: Random, row: number) => string;

const TOKENS = ["NA", "?", "-", ".", "NaN", "null", "N/A", "None", "<NA>", "#N/A"];
const pad = (value: number, length = 2) => String(value).padStart(length, "0");

/** How the numbers of a file are written. */
interface Marks {
  readonly decimal: string;
  readonly group: string;
}

function fixed(random: Random, { decimal, group }: Marks, digits: number): string {
  const value = random.below(10 ** (1 + random.below(7))) / 100;
  const [whole, fraction] = value.toFixed(digits).split(".");
  const grouped = group === "" ? whole : whole.replace(/\B(?=(\d{3})+$)/g, group);
  return (random.chance(0.2) ? "-" : "") + grouped + (fraction === undefined ? "" : decimal + fraction);
}

const PIECES = [
  "a",
  "B",
  "é",
  "日本",
  "😀",
  " ",
  '"',
  "'",
  ",",
  ";",
  "|",
  "\n",
  "\r\n",
  "1",
  "0",
  ".",
  "-",
  "x y",
  "#",
];

function text(random: Random, most: number): string {
  const middle = Array.from({ length: random.below(most) }, () => random.pick(PIECES)).join("");
  return `${random.pick(["w", "ü", "Z"])}${middle}${random.pick(["n", "ö"])}`;
}

/** One of the kinds of columns; its cells come from the seed too. */
function kindOf(random: Random, marks: Marks): Cell {
  const digits = random.below(4);
  const words = Array.from({ length: 1 + random.below(6) }, () => text(random, 8));
  const pair = random.pick([
    ["true", "false"],
    ["True", "False"],
    ["yes", "no"],
    ["YES", "NO"],
  ]);
  const order = random.pick(["d/m", "d.m", "m/d"]);
  const kinds: Cell[] = [
    () => String(random.below(1000)),
    () => String(random.below(10 ** 9) - 5 * 10 ** 8),
    () => fixed(random, marks, digits),
    () => fixed(random, { ...marks, group: "" }, digits),
    () => (random.unit() * 10 ** (random.below(40) - 20)).toExponential().replace(".", marks.decimal),
    () => `${fixed(random, marks, digits)}%`,
    () => `${fixed(random, marks, 2)} €`,
    () => pad(random.below(10_000), 5),
    () => `${9 + random.below(90)}00719925474099${random.below(10)}`,
    () => random.pick(words),
    () => text(random, 12),
    () => text(random, random.chance(0.1) ? 400 : 5),
    () => random.pick(pair),
    () => `${1900 + random.below(200)}-${pad(1 + random.below(12))}-${pad(1 + random.below(28))}`,
    () => `2024-${pad(1 + random.below(12))}-01 ${pad(random.below(24))}:${pad(random.below(60))}:00`,
    () => `2024-01-${pad(1 + random.below(31))}T${pad(random.below(24))}:00:00.${random.below(10)}Z`,
    () => {
      const [day, month] = [pad(1 + random.below(28)), pad(1 + random.below(12))];
      const mark = order[1];
      return `${order.startsWith("d") ? day + mark + month : month + mark + day}${mark}2024`;
    },
    // Rarely something else: what is no number, or no date.
    () => (random.chance(0.02) ? "unknown" : String(random.below(50))),
    () => (random.chance(0.02) ? "2023-02-29" : "2024-02-29"),
    () => "",
  ];
  return random.pick(kinds);
}

function quoted(cell: string, separator: string, all: boolean): string {
  return all || cell.includes(separator) || /["\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

export function generatedTable(seed: number): Generated {
  const random = new Random(seed);
  const separator = random.pick<Separator>([",", ";", "\t", "|"]);
  const decimal = random.chance(0.4) ? "," : ".";
  const group = random.pick(["", "", decimal === "." ? "," : ".", " ", "\u00a0", "'"]);
  const columns = 2 + random.below(7);
  const rows = 3 + random.below(random.pick([5, 5, 30, 30, 30, 200, 200, 3000]));
  const all = random.chance(0.2);
  const end = random.pick(["\n", "\n", "\r\n", "\r\n", "\r"]);
  const cells = Array.from({ length: columns }, () => {
    const kind = kindOf(random, { decimal, group });
    const gaps = random.pick([0, 0, 0.1, 0.5]);
    const token = random.pick(["", "", ...TOKENS]);
    return Array.from({ length: rows }, (_, row) => (random.chance(gaps) ? token : kind(random, row)));
  });
  const names = Array.from({ length: columns }, (_, i) => (i === 0 ? 'größe "1"' : `column ${i}`));
  const table = [names, ...Array.from({ length: rows }, (_, row) => cells.map((column) => column[row]))];
  // Python does not tell `""` from an empty cell, and a row of empty cells at the end is no row.
  while (table.at(-1)!.every((cell) => cell === "")) table.pop();
  const lines = table.map((row) => row.map((cell) => quoted(cell, separator, all)).join(separator));
  const gap = random.chance(0.1) ? end : "";
  const skip = random.chance(0.1) ? 1 : 0;
  const first = skip === 1 ? `sep=${separator}${end}` : "";
  const text = first + lines.map((line) => line + (random.chance(0.1) ? gap : "")).join(end);
  return { separator, skip, ...encoded(text + random.pick(["", end, end + end]), random) };
}

function encoded(text: string, random: Random): Pick<Generated, "bytes" | "encoding" | "python"> {
  const way = random.below(6);
  if (way === 0) return { bytes: Buffer.from(`\uFEFF${text}`), encoding: "utf-8", python: "utf-8-sig" };
  if (way === 1) return { bytes: Buffer.from(`\uFEFF${text}`, "utf16le"), encoding: "utf-16le", python: "utf-16" };
  if (way === 3)
    return { bytes: Buffer.from(`\uFEFF${text}`, "utf16le").swap16(), encoding: "utf-16be", python: "utf-16" };
  const latin = text.replaceAll(/[^\0-\u00ff€]/g, "ß");
  if (way === 2)
    return {
      bytes: Buffer.from(latin.replaceAll("€", "\x80"), "latin1"),
      encoding: "windows-1252",
      python: "cp1252",
    };
  return { bytes: Buffer.from(text), encoding: "utf-8", python: "utf-8" };
}
