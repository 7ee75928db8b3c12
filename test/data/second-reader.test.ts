// Generated tables are read by ours and by a second reader in Python, which must agree on every
// cell.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { ColumnFile } from "../../src/data/files/column-file.ts";
import { MISSING_CODE } from "../../src/data/columns/column.ts";
import { ingest } from "../support/datasets.ts";
import { generatedTable } from "./generated-table.ts";
import { datasetFiles, LIMIT_BYTES } from "./support.ts";

const FIRST_SEED = Number(process.env.TABLES_SEED ?? 1);
const COUNT = Number(process.env.TABLES_COUNT ?? 40);
const PYTHON = "python3";
const hasPython = spawnSync(PYTHON, ["-c", "import csv, sys; sys.exit(sys.version_info < (3, 7))"]).status === 0;

interface Answer {
  decimal: string;
  columns: { name: string; type: string; cells: (string | null)[] }[];
}

/** Bit for bit, as Python's `float.hex()` tells it. */
function fromHex(text: string): number {
  const [, sign, whole, fraction, exponent] = /^(-?)0x(\d)(?:\.([0-9a-f]*))?p([+-]\d+)$/.exec(text)!;
  const digits = fraction ?? "";
  return Number(`${sign}1`) * Number(BigInt(`0x${whole}${digits}`)) * 2 ** (Number(exponent) - 4 * digits.length);
}

function secondReading(tables: { path: string; encoding: string; separator: string; skip: number }[]): Answer[] {
  const answer = execFileSync(PYTHON, ["test/data/second-reader.py"], {
    input: JSON.stringify(tables),
    env: { ...process.env, PYTHONIOENCODING: "utf-8" },
    maxBuffer: 2 ** 28,
  });
  return JSON.parse(answer.toString()) as Answer[];
}

test.skipIf(!hasPython)(`Python reads ${COUNT} tables from seed ${FIRST_SEED} on as we do`, async () => {
  const { files } = await datasetFiles();
  const directory = mkdtempSync(join(tmpdir(), "rappel-tables-"));
  const tables = Array.from({ length: COUNT }, (_, i) => {
    const table = generatedTable(FIRST_SEED + i);
    const path = join(directory, `${FIRST_SEED + i}.csv`);
    writeFileSync(path, table.bytes);
    return { ...table, path, seed: FIRST_SEED + i };
  });
  const given = tables.map(({ path, python, separator, skip }) => ({ path, encoding: python, separator, skip }));
  for (const [i, answer] of secondReading(given).entries()) {
    const { path, seed, separator, encoding } = tables[i];
    const content = await ingest(files, Readable.from([readFileSync(path)]), LIMIT_BYTES);
    const ours = await files.use(content, (columns) =>
      ColumnFile.with(columns, (file) => Promise.all(content.columns.map((_, column) => cellsOf(file, column)))),
    );
    const theirs = answer.columns.map(({ type, cells }) =>
      type === "numeric" || type === "date" ? cells.map((cell) => cell && fromHex(cell)) : cells,
    );
    const said = `seed ${seed}, TABLES_SEED=${seed} TABLES_COUNT=1, the file ${path}`;
    expect(content.reading, said).toMatchObject({ separator, encoding, decimal: answer.decimal });
    expect(
      content.columns.map(({ name, type, missing }) => ({ name, type, missing })),
      said,
    ).toEqual(
      answer.columns.map(({ name, type, cells }) => ({
        name,
        type,
        missing: cells.filter((cell) => cell === null).length,
      })),
    );
    for (const [column, cells] of ours.entries())
      if (cells !== null) expect(cells, `column ${column + 1} of ${said}`).toEqual(theirs[column]);
  }
  // What disagrees stays, to be looked at.
  rmSync(directory, { recursive: true });
});

/** Null where only the number of missing cells is kept. */
async function cellsOf(file: ColumnFile, column: number) {
  const { type, classes } = file.content.columns[column];
  if (type === "numeric" || type === "date")
    return Array.from(await file.numbers(column), (value) => (Number.isNaN(value) ? null : value));
  if (classes === null) return null;
  return Array.from(await file.codes(column), (code) => (code === MISSING_CODE ? null : classes[code]));
}
