/** The rows of each key are those that a job chooses by the key's values. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { partitionRows, type Partition } from "../../../src/data/encode/keys.ts";
import { ViewedFile } from "../../../src/data/encode/viewed-file.ts";
import { noValueFault, rowsWhere, whereFaults, type Table, type WhereValue } from "../../../src/data/encode/where.ts";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { ingest } from "../../support/datasets.ts";
import { dataset, datasetFiles, LIMIT_BYTES } from "../support.ts";
import { floats, npy, zip } from "../tensors/files.ts";

const ROWS = 2000;
const odd = [
  "a",
  "b,c",
  'say "hi"',
  "line\nbreak",
  "größe",
  "日本",
  "😀",
  " spaced ",
  "0",
  "NA",
  "é",
  "e\u0301",
  "x\ufeffy",
];
/** Each kind of column, with values that are spelled in several ways, and missing ones. */
const cells: Record<string, (row: number) => string> = {
  number: (row) => ["1", "1.0", "1e0", "-0", "0", "", "-2.5", "1e300", "0.1", "NA"][row % 10],
  many: (row) => (row % 97 === 0 ? "" : String(Math.sin(row % 1300))),
  truth: (row) => ["yes", "no", ""][row % 3],
  day: (row) => ["2024-01-31", "2024-01-30", "0999-12-31", ""][row % 4],
  moment: (row) => `2024-0${1 + (row % 9)}-01T10:20:30.${["5", "0001", "123456789", "000"][row % 4]}`,
  class: (row) => (row % 50 === 0 ? "" : odd[row % odd.length]),
  text: (row) => (row % 90 === 0 ? "" : `${odd[row % odd.length]}${row % 1400}`),
  long: (row) => `${"x".repeat(300)}${odd[row % 7]}${"y".repeat(row % 5)}`,
  declared: (row) => ["good", "", "bad"][row % 3],
};
const names = Object.keys(cells);
const quoted = (cell: string) => (/[",\n ]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
const csv = [
  names.join(","),
  ...Array.from({ length: ROWS }, (_, row) => names.map((name) => quoted(cells[name](row))).join(",")),
].join("\n");

type View = Partial<Pick<DataSpec, "columns" | "where">>;

async function withTable<T>(use: (file: ViewedFile) => Promise<T>, view: View = {}): Promise<T> {
  const { files, content } = await dataset(csv);
  return await ViewedFile.with(files.columnsPath(content), { columns: {}, where: null, ...view }, use);
}

/** All keys with their rows, held to what `where` chooses by them. */
async function checked(file: Table, columns: readonly string[]): Promise<Partition> {
  const partition = await partitionRows(file, columns);
  const seen = new Set<number>();
  for (let n = 0; n < partition.keys; n++) {
    const where = JSON.parse(JSON.stringify(partition.key(n))) as Record<string, WhereValue>;
    expect(Object.keys(where)).toEqual(columns);
    expect(whereFaults(file.content, { where } as DataSpec, "")).toEqual([]);
    const rows = [...partition.rows(n)];
    expect(rows.length).toBeGreaterThan(0);
    expect(rows).toEqual([...(await rowsWhere(file, { where }))!]);
    for (const row of rows) seen.add(row);
  }
  expect(seen.size + partition.missing).toBe(file.content.rows);
  return partition;
}

const keysOf = (partition: Partition, name: string) =>
  Array.from({ length: partition.keys }, (_, n) => partition.key(n)[name]);

test.each(names)("the keys of %s", async (name) => {
  expect((await withTable((file) => checked(file, [name]))).keys).toBeGreaterThan(1);
});

test("keys ascend, and missing values have none", async () => {
  await withTable(async (file) => {
    const of = async (name: string) => keysOf(await partitionRows(file, [name]), name);
    expect(await of("number")).toEqual([-2.5, 0, 0.1, 1, 1e300]);
    expect(await of("truth")).toEqual([false, true]);
    expect(await of("day")).toEqual(["0999-12-31", "2024-01-30", "2024-01-31"]);
    expect(await of("declared")).toEqual(["bad", "good"]);
    for (const name of ["class", "text", "long"]) {
      const wanted = new Set(Array.from({ length: ROWS }, (_, row) => cells[name](row)).filter((cell) => cell !== ""));
      const bytes = Array.from(wanted, (text) => Buffer.from(text)).toSorted(Buffer.compare);
      expect(await of(name)).toEqual(bytes.map(String));
    }
    expect((await partitionRows(file, ["truth"])).missing).toBe(Math.floor(ROWS / 3));
  });
});

test("several columns make keys together, the first one first", async () => {
  await withTable(async (file) => {
    const partition = await checked(file, ["truth", "number", "declared"]);
    const all = Array.from({ length: partition.keys }, (_, n) => Object.values(partition.key(n)));
    const order = [...all].sort(
      ([a, b, c], [d, e, f]) => Number(a) - Number(d) || Number(b) - Number(e) || (String(c) < String(f) ? -1 : 1),
    );
    expect(all).toEqual(order);
    expect(new Set(all.map(String)).size).toBe(all.length);
  });
});

test("the keys of chosen rows, and of columns that the job takes for another type", async () => {
  const view: View = { where: { truth: true }, columns: { number: "categorical", day: "text", class: "text" } };
  await withTable(async (file) => {
    for (const name of ["number", "day", "class", "text", "many"]) {
      if (noValueFault(file.content.columns[file.index(name)]) === null) await checked(file, [name]);
    }
    expect(keysOf(await partitionRows(file, ["number"]), "number")).toEqual(["-2.5", "0", "0.1", "1", "1e+300"]);
    expect((await partitionRows(file, ["truth"])).keys).toBe(1);
  }, view);
});

test("the keys of whole numbers in arrays", async () => {
  const { files } = await datasetFiles();
  const group = floats(3, -1, 3, 0, -1);
  const file = zip({
    "x.npy": npy({ descr: "<f4", shape: [5, 2], data: floats(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) }),
    "g.npy": npy({ descr: "<f4", shape: [5], data: group }),
  });
  const content = await ingest(files, Readable.from([file]), LIMIT_BYTES);
  await ViewedFile.with(files.columnsPath(content), { columns: {}, where: null }, async (view) => {
    const partition = await checked(view, ["g"]);
    expect(keysOf(partition, "g")).toEqual([-1, 0, 3]);
    expect([...partition.rows(0)]).toEqual([1, 4]);
    expect(noValueFault(view.content.columns[view.index("x")])).toMatch(/^which has an array/);
  });
});

test("dates of every year, and parts of a millisecond", async () => {
  const times = [-62_200_000_000_000, -1.5, 0.25, 1_706_659_200_000.125, 8.64e15, Date.parse("2024-02-01")];
  const column = { name: "d", type: "date", classes: null } as unknown as Table["content"]["columns"][number];
  const file = {
    content: { rows: times.length, columns: [column] },
    index: () => 0,
    numbers: async () => Float64Array.from(times),
  } as unknown as Table;
  const partition = await checked(file, ["d"]);
  expect(keysOf(partition, "d").at(-1)).toBe("+275760-09-13");
  expect(keysOf(partition, "d")[0]).toMatch(/^-/);
});
