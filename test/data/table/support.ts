import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ALL_DETECTED, type Reading, type ReadingOptions } from "../../../src/data/reading.ts";
import { readTable } from "../../../src/data/table/read.ts";

/** Reads bytes as a file that was uploaded is read. */
export async function tableOf(
  bytes: string | Buffer,
  asked: Partial<ReadingOptions> | Reading = {},
  limitBytes = Infinity,
) {
  const directory = await mkdtemp(join(tmpdir(), "rappel-table-"));
  const path = join(directory, "table.csv");
  try {
    await writeFile(path, bytes);
    const { reading, rows, columns } = await readTable(path, { ...ALL_DETECTED, ...asked }, limitBytes);
    return { reading, rows, columns, names: columns.map(({ summary }) => summary.name) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The same, and all values of each column, by name. */
export async function valuesOf(bytes: string | Buffer, asked: Partial<ReadingOptions> | Reading = {}) {
  const { columns } = await tableOf(bytes, asked);
  return Object.fromEntries(
    columns.map(({ summary, values }) => [
      summary.name,
      Array.from(values ?? [], (value) =>
        summary.type === "categorical" ? (summary.classes?.[value] ?? null) : value,
      ),
    ]),
  );
}
