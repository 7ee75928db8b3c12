/** Uploads that are no CSV tables. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats, idx, longs, npy, npyOf, zip } from "../data/tensors/files.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const images = npy({ descr: "<f4", shape: [2, 1, 2], data: floats(0, 1, 2, 3) });
const file = zip({ "images.npy": images, "labels.npy": npy({ descr: "<i8", shape: [2], data: longs(5, 9) }) });

function post(body: Buffer, type: string | null) {
  const headers: Record<string, string> = type === null ? {} : { "content-type": type };
  return service.call("POST", "/v1/datasets?name=digits", { body, headers });
}

test("arrays are recognised whatever their media type, described, kept and deleted", async () => {
  const before = service.onDisk();
  const first = await post(file, "application/zip");
  expect(first.status).toBe(201);
  expect(first.body).toMatchObject({ name: "digits", format: "npz", rows: 2, bytes: file.length, reading: null });
  const facts = { missing: 0, all_different: false, reason: null };
  expect(first.body.columns).toEqual([
    {
      name: "images",
      type: "tensor",
      dtype: "float32",
      shape: [1, 2],
      min: 0,
      max: 3,
      mean: null,
      classes: null,
      ...facts,
    },
    {
      name: "labels",
      type: "tensor",
      dtype: "int64",
      shape: [],
      min: 5,
      max: 9,
      mean: 7,
      classes: ["5", "9"],
      ...facts,
    },
  ]);
  for (const type of ["text/csv", "text/plain", "application/octet-stream", "application/x-npz; v=1", "image/png"]) {
    const again = await post(file, type);
    expect([type, again.status, again.body]).toEqual([type, 200, first.body]);
  }
  const content = await service.call("GET", `${first.headers.location}/content`);
  expect([content.headers["content-type"], content.body]).toEqual(["application/octet-stream", file]);
  expect((await service.call("DELETE", first.headers.location)).status).toBe(204);
  expect(service.onDisk()).toEqual(before);
});

test("what cannot be read is a 422, what is too large a 413, and neither leaves anything behind", async () => {
  const before = service.onDisk();
  const pickled = npyOf("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", Buffer.from("\x80\x04N."));
  const refused = await post(zip({ "x.npy": pickled }), null);
  expect([refused.status, refused.body.code]).toEqual([422, "invalid_dataset"]);
  expect(refused.body.detail).toContain('The array "x" holds Python objects');
  const bomb = npy({ descr: "|u1", shape: [1, 2 ** 21], data: Buffer.alloc(2 ** 21) });
  const tooLarge = await post(zip({ "x.npy": bomb }, { deflate: true }), null);
  expect([tooLarge.status, tooLarge.body.code]).toEqual([413, "too_large"]);
  expect(tooLarge.body.detail).toContain("1048576 bytes");
  expect(service.onDisk()).toEqual(before);
  expect((await service.store.datasets.room("default")).used).toBe(0);
});

test.each([
  ["idx", "image/png", idx(0x08, [2, 2], Buffer.from("abcd")), "application/octet-stream"],
  ["parquet", "text/plain", await readFile("test/data/parquet/pyarrow/snappy.parquet"), "application/octet-stream"],
  ["arrow", "text/csv", await readFile("test/data/arrow/pyarrow/lz4.arrow"), "application/octet-stream"],
  ["text", "text/plain; charset=utf-8", Buffer.from("a,b\n1,2\n"), "text/plain; charset=utf-8"],
  ["csv", "text/csv", Buffer.from("a,b\n1,2\n"), "text/csv; charset=utf-8"],
])("%s sent as %s", async (format, type, file, contentType) => {
  const before = service.onDisk();
  const { status, body, headers } = await post(file, type);
  expect([status, body.format, body.bytes]).toEqual([201, format, file.length]);
  expect(body.reading === null).toBe(format !== "csv");
  const content = await service.call("GET", `${headers.location}/content`);
  expect(content.headers["content-type"]).toBe(contentType);
  expect((await service.call("GET", headers.location)).body).toEqual(body);
  expect((await service.call("DELETE", headers.location)).status).toBe(204);
  expect(service.onDisk()).toEqual(before);
});

test.each([
  [idx(0x08, [2, 2], Buffer.from("abc")), "text/csv", "The IDX file is cut off"],
  [Buffer.from("caf\xe9", "latin1"), "text/plain", "The text is not UTF-8: byte 3"],
  [await readFile("test/data/parquet/pyarrow/list.parquet"), null, 'The column "tags" is nested'],
])("damage %# is a 422 that leaves nothing behind", async (file, type, why) => {
  const before = service.onDisk();
  const { status, body } = await post(file, type);
  expect([status, body.code]).toEqual([422, "invalid_dataset"]);
  expect(body.detail).toContain(why);
  expect(service.onDisk()).toEqual(before);
});
