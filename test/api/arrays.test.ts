/** Uploads of arrays. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats, longs, npy, npyOf, zip } from "../data/tensors/files.ts";
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
