// Tables as people write them, each read as a person would read it, or refused with a remedy; and
// the first rows of well-known data sets.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MISSING_CODE } from "../../src/data/columns/column.ts";
import { columnsFile } from "../../src/data/dataset.ts";
import { ColumnFile } from "../../src/data/files/column-file.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import type { Warning } from "../../src/contract/resolve/warnings.ts";
import type { Column, Dataset } from "../../src/contract/wire/dataset.ts";
import { specFor, startService, type Service } from "../api/service.ts";
import type { Because, Expected, Read } from "./spellings/case.ts";
import { compressed, encodings, headers } from "./spellings/bytes.ts";
import { dates } from "./spellings/dates.ts";
import { excerpts } from "./spellings/excerpts.ts";
import { files } from "./spellings/files.ts";
import { numbers } from "./spellings/numbers.ts";
import { refusals } from "./spellings/refusals.ts";
import { texts } from "./spellings/texts.ts";
import { exports } from "./spellings/exports.ts";

const tables: Read[] = [...files, ...headers, ...encodings, ...compressed, ...numbers, ...dates, ...texts, ...exports];

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

function post({ body, query = {}, headers = {} }: Pick<Read, "body" | "query" | "headers">) {
  const url = `/v1/datasets?${new URLSearchParams(query).toString()}`;
  return service.call("POST", url, {
    body: Buffer.from(body as string),
    headers: { "content-type": "text/csv", ...headers },
  });
}

/** Uploads it, and reads it back from its file of columns. */
async function read(given: Parameters<typeof post>[0]) {
  const before = service.onDisk();
  const response = await post(given);
  if (response.status !== 201) throw new Error(`${response.status} ${response.text}`);
  const name = service.onDisk().find((file) => file.endsWith(".columns") && !before.includes(file))!;
  const dataset = response.body as Dataset;
  const values = await ColumnFile.with(join(service.directory, name), (file) =>
    Promise.all(dataset.columns.map((column, i) => valuesOf(file, column, i))),
  );
  return { dataset, values };
}

/** Null where only the number of missing cells is kept. */
async function valuesOf(file: ColumnFile, { type, classes }: Column, i: number) {
  if (type === "numeric" || type === "date")
    return Array.from(await file.numbers(i), (value) => (Number.isNaN(value) ? null : value));
  if (classes === null) return null;
  return Array.from(await file.codes(i), (code) => (code === MISSING_CODE ? null : classes[code]));
}

const reported = ({ line, cell, says }: Because) => ({ line, cell, message: expect.stringMatching(says) });

/** What its description says. */
function described(name: string, { type, cells, listed, reason }: Expected) {
  const present = cells.filter((cell) => cell !== null);
  const isText = type === "categorical" || type === "boolean";
  const classes = [...new Set(present.map(String))].toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  // A negative zero is a zero in JSON.
  const ascending = isText ? [] : present.map((cell) => Number(cell) + 0).toSorted((a, b) => a - b);
  return {
    name,
    type,
    missing: cells.length - present.length,
    min: ascending.at(0) ?? null,
    max: ascending.at(-1) ?? null,
    ...(isText ? { classes: listed ? classes : null } : {}),
    ...(reason === "any" ? {} : { reason: reason && reported(reason) }),
  };
}

test.each(tables.map((table) => [table.what, table] as const))("%s", async (_, table) => {
  const { dataset, values } = await read(table);
  const columns = Object.entries(table.columns);
  const reading = { separator: ",", decimal: ".", encoding: "utf-8", header: true, ...table.reading };
  expect({ ...dataset, columns: dataset.columns.map(({ name, type }) => [name, type]) }).toMatchObject({
    columns: columns.map(([name, { type }]) => [name, type]),
    reading,
    rows: columns[0][1].cells.length,
  });
  expect(dataset.columns).toMatchObject(columns.map(([name, expected]) => described(name, expected)));
  for (const [i, [, { cells, type, listed }]] of columns.entries()) {
    expect(values[i]).toEqual(type === "categorical" && !listed ? null : cells);
  }
});

test.each(refusals.map((refusal) => [refusal.what, refusal] as const))("%s is refused", async (_, refusal) => {
  const { status, body } = await post(refusal);
  const { status: wanted = 422, line, says } = refusal;
  expect({ status, ...body }).toMatchObject({
    status: wanted,
    detail: expect.stringMatching(says),
    ...(line === null ? {} : { line }),
  });
});

test.each(Object.entries(excerpts))("%s", async (file, { query, reading, rows, columns, reasons = {}, values }) => {
  const found = await read({ body: readFileSync(join("test/data/excerpts", file)), query });
  expect(found.dataset).toMatchObject({ rows, reading: { separator: ",", decimal: ".", header: true, ...reading } });
  expect(found.dataset.columns.map(({ name, type, missing }) => [name, type, missing])).toEqual(
    columns.map(([name, type, missing = 0]) => [name, type, missing]),
  );
  const reported = found.dataset.columns.flatMap(({ name, reason }) =>
    reason === null ? [] : [[name, [reason.line, reason.cell]]],
  );
  expect(Object.fromEntries(reported)).toEqual(reasons);
  for (const [name, samples] of Object.entries(values)) {
    const column = found.values[columns.findIndex(([known]) => known === name)];
    expect(samples.map(([row]) => [row, column?.[row]])).toEqual(samples);
  }
});

test("lost columns are made again by the reading of their dataset, byte for byte", async () => {
  const store = new DatasetFiles(service.directory);
  for (const table of [...headers, ...encodings, ...compressed, ...exports]) {
    const { body: dataset } = await post(table);
    const path = join(service.directory, columnsFile(dataset));
    const before = readFileSync(path);
    rmSync(path);
    await store.use(dataset, (columns) => ColumnFile.with(columns, () => undefined));
    expect(readFileSync(path).equals(before), table.what).toBe(true);
  }
});

test("in titanic.csv the columns that only name a passenger are not default features", async () => {
  const { dataset } = await read({
    body: Buffer.concat([readFileSync("test/data/excerpts/titanic.csv"), Buffer.from("\n")]),
  });
  const data = { dataset: dataset.id, target: "Survived", preprocess: { missing: "median" } };
  const { status, body } = await service.call("POST", "/v1/jobs?validate_only=true", {
    body: specFor("", { data }),
  });
  expect({ status, ...body }).toMatchObject({ status: 200, valid: true });
  expect(body.warnings.map(({ code, message }: Warning) => [code, message.split(",")[0]])).toEqual(
    ["PassengerId", "Name", "Ticket"].map((name) => ["unique_column", `leaves out "${name}"`]),
  );
});
