// Uploaded tables: how fast a helper thread makes typed columns of a CSV file, by what is in it.
// The processor time counts all threads of the process, also those that collect garbage and read.
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ingest } from "../src/data/ingest.ts";
import { ALL_DETECTED } from "../src/data/reading.ts";
import { finish } from "./report.ts";

const MEGABYTES = 64;
const ROUNDS = 3;

/** The same numbers in each run. */
let state = 1;
const below = (count: number) => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * count);
};
const two = (count: number, first = 0) => String(first + below(count)).padStart(2, "0");
const day = () => `${1990 + below(35)}-${two(12, 1)}-${two(28, 1)}`;
const time = () => `${two(24)}:${two(60)}:${two(60)}`;
const double = () => String(below(2 ** 32) / 2 ** 32 + below(2 ** 20) / 2 ** 52);
const many = (count: number, cell: (i: number) => string) => Array.from({ length: count }, (_, i) => cell(i));

/** A row of each table, by its number. */
const tables: Record<string, (row: number) => string[]> = {
  mixed: (row) => [
    String(row),
    (below(100_000) / 1000).toFixed(3),
    (below(1_000_000) / 100).toFixed(2),
    double(),
    String(below(90)),
    String(below(100_000)),
    `city ${below(300)}`,
    below(2) === 0 ? "true" : "false",
    `${day()} ${time()}`,
    `note number ${below(1_000_000)}`,
    "abc"[below(3)],
  ],
  "64 floats": () => many(64, double),
  "20 integers": () => many(20, () => String(below(10_000))),
  "20 classes": () => many(20, (i) => (i < 10 ? String(below(200)) : `class ${below(500)}`)),
  "quoted texts": (row) => [
    String(row),
    `"A title, with ${below(1_000_000)}"`,
    `"They said ""no"" to ${below(1_000_000)},\nand went away again"`,
  ],
  dates: () => [`${day()}T${time()}`, day(), `${two(28, 1)}.${two(12, 1)}.${1990 + below(35)}`],
};

function* textOf(row: (number: number) => string[]): Generator<string> {
  const names = row(0).map((_, i) => `column ${i}`);
  yield `${names.join(",")}\n`;
  let bytes = 0;
  for (let number = 0; bytes < MEGABYTES * 1e6;) {
    let block = "";
    while (block.length < 2 ** 16) block += `${row(number++).join(",")}\n`;
    bytes += block.length;
    yield block;
  }
}

interface Cost {
  readonly cpuSeconds: number;
  readonly seconds: number;
}

async function costOf(csv: string, columns: string): Promise<Cost> {
  await rm(columns, { force: true });
  const [cpu, began] = [process.cpuUsage(), performance.now()];
  const result = await ingest({ csv, columns, asked: ALL_DETECTED, plain: "csv", limitBytes: Infinity });
  if (!("content" in result)) throw new Error(`the table was not read: ${JSON.stringify(result)}`);
  const { user, system } = process.cpuUsage(cpu);
  return { cpuSeconds: (user + system) / 1e6, seconds: (performance.now() - began) / 1000 };
}

export async function benchCsv(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "rappel-bench-"));
  const rows: object[] = [];
  try {
    console.log("CSV: megabytes a second of processor time, and of the clock, in the best of", ROUNDS, "rounds");
    for (const [table, row] of Object.entries(tables)) {
      const csv = join(directory, `${table}.csv`);
      await pipeline(Readable.from(textOf(row)), createWriteStream(csv));
      const { size } = await stat(csv);
      const costs: Cost[] = [];
      for (let round = 0; round < ROUNDS; round++) costs.push(await costOf(csv, join(directory, "columns")));
      const best = (kind: keyof Cost) => size / 1e6 / Math.min(...costs.map((cost) => cost[kind]));
      const [mb_per_cpu_second, mb_per_second] = [best("cpuSeconds"), best("seconds")];
      console.log(
        `  ${table.padEnd(14)}${mb_per_cpu_second.toFixed(0).padStart(6)}${mb_per_second.toFixed(0).padStart(6)}`,
      );
      rows.push({ table, bytes: size, mb_per_cpu_second, mb_per_second });
      await rm(csv);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
  finish("csv", rows);
}
