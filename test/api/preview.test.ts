/** The first rows of datasets. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats, longs, npy, zip } from "../data/tensors/files.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

async function preview(body: string | Buffer, query = "", type = "text/csv") {
  const { body: dataset } = await service.call("POST", "/v1/datasets", { body, headers: { "content-type": type } });
  const { status, body: shown } = await service.call("GET", `/v1/datasets/${dataset.id}/preview${query}`);
  expect([status, shown.dataset_id]).toEqual([200, dataset.id]);
  return shown;
}

test("a table: every type, missing cells, and texts that are no classes", async () => {
  const ids = Array.from(
    { length: 1200 },
    (_, i) => `2024-01-0${1 + (i % 9)},${i % 3 ? "yes" : "no"},${i || ""},a${i % 2},id${i}`,
  );
  const { columns, rows } = await preview(["day,flag,n,kind,id", ...ids].join("\n"), "?rows=3");
  expect(columns).toEqual(["day", "flag", "n", "kind", "id"]);
  expect(rows).toEqual([
    ["2024-01-01T00:00:00.000Z", false, null, "a0", "id0"],
    ["2024-01-02T00:00:00.000Z", true, 1, "a1", "id1"],
    ["2024-01-03T00:00:00.000Z", true, 2, "a0", "id2"],
  ]);
  expect((await preview("x\n1\n2\n")).rows).toEqual([[1], [2]]);
});

test("arrays are nested, as many rows as 20,000 numbers hold, and larger ones are not shown", async () => {
  const images = npy({ descr: "<f4", shape: [2, 2, 2], data: floats(0, 1, 2, 3, 4, 5, 6, 7) });
  const file = zip({ "images.npy": images, "labels.npy": npy({ descr: "<i8", shape: [2], data: longs(5, 9) }) });
  expect(await preview(file)).toMatchObject({
    columns: ["images", "labels"],
    rows: [
      [
        [
          [0, 1],
          [2, 3],
        ],
        5,
      ],
      [
        [
          [4, 5],
          [6, 7],
        ],
        9,
      ],
    ],
  });
  const wide = (shape: number[]) => npy({ descr: "|u1", shape, data: Buffer.alloc(shape[0] * shape[1]) });
  expect((await preview(wide([9, 8000]))).rows).toHaveLength(2);
  expect((await preview(wide([9, 20_001]))).rows).toEqual(Array.from({ length: 9 }, () => [null]));
});

test("Parquet, and the beginning of a text", async () => {
  const table = await preview(await readFile("test/data/parquet/pyarrow/old.parquet"), "?rows=2");
  expect(table.rows[0]).toEqual(["1969-12-31T00:00:00.000Z", "1969-12-31T23:59:59.124Z", -0.09, 100_000]);
  const text = "ä€𝄞".repeat(100);
  expect(await preview(text, "?rows=2", "text/plain")).toMatchObject({
    columns: ["text"],
    rows: [[text.slice(0, 266)]],
  });
  expect((await preview("short", "", "text/plain")).rows).toEqual([["short"]]);
});

test("told by name", async () => {
  const { id } = await service.upload("x\n1\n");
  for (const rows of ["0", "101", "x"]) {
    const { status, body } = await service.call("GET", `/v1/datasets/${id}/preview?rows=${rows}`);
    expect([status, body.errors[0].pointer]).toEqual([400, "?rows"]);
  }
  expect((await service.call("GET", "/v1/datasets/ds_none/preview")).status).toBe(404);
});
