import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { filesOf } from "../../src/data/dataset.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const type = { "content-type": "text/csv" };

test("an upload is described, kept byte for byte, and known again", async () => {
  const first = await service.call("POST", "/v1/datasets?name=pets", { body: csv, headers: type });
  expect(first.status).toBe(201);
  expect(first.headers.location).toBe(`/v1/datasets/${first.body.id}`);
  expect(first.body).toMatchObject({
    name: "pets",
    format: "csv",
    rows: 20,
    bytes: csv.length,
    sha256: createHash("sha256").update(csv).digest("hex"),
  });
  expect(first.body.columns[0]).toEqual({
    name: "x",
    type: "numeric",
    missing: 0,
    min: 0,
    max: 19,
    mean: 9.5,
    classes: Array.from({ length: 20 }, (_, i) => String(i)),
    all_different: false,
    reason: null,
    text_bytes: null,
  });
  expect(first.body.reading).toMatchObject({ separator: ",", decimal: ".", encoding: "utf-8", header: true });
  expect(first.body.columns[2]).toMatchObject({ type: "categorical", classes: ["blue", "green", "red"], mean: null });

  const second = await service.call("POST", "/v1/datasets", {
    body: csv,
    headers: { "content-type": "text/csv; charset=UTF-8" },
  });
  expect(second.status).toBe(200);
  expect(second.body).toEqual(first.body);
  expect((await service.call("GET", first.headers.location)).body).toEqual(first.body);

  const content = await service.call("GET", `/v1/datasets/${first.body.id}/content`);
  expect(content.text).toBe(csv);
  expect(content.headers).toMatchObject({
    "content-type": "text/csv; charset=utf-8",
    "content-length": String(csv.length),
  });
});

test.each([
  ["CSV", Buffer.from("a,b\n1,2\n"), "text/csv; charset=utf-8"],
  ["CSV in UTF-16", Buffer.from("\ufeffa,b\n1,3\n", "utf16le"), "text/csv; charset=utf-16le"],
  ["a gzip file", gzipSync("a,b\n1,4\n"), "application/gzip"],
])("the content of %s says what it is, under the hash of its bytes", async (_, body, contentType) => {
  const { id, sha256 } = (await service.call("POST", "/v1/datasets", { body, headers: type })).body;
  const { headers, rawPayload } = await service.app.inject(`/v1/datasets/${id}/content`);
  expect([headers["content-type"], headers.etag]).toEqual([contentType, `"${sha256}"`]);
  expect(rawPayload.equals(body)).toBe(true);
});

test("lists go from new to old, page by page", async () => {
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) ids.unshift((await service.upload(`a,b\n${i},1\n`)).id);
  const first = (await service.call("GET", "/v1/datasets?limit=3")).body;
  expect(first.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 3));
  expect(first).toMatchObject({ has_more: true, next: ids[2] });
  const second = (await service.call("GET", `/v1/datasets?limit=2&after=${first.next}`)).body;
  expect(second.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(3, 5));
});

test.each([
  ["limit=0", "?limit", "must be at least 1"],
  ["limit=101", "?limit", "must be at most 100"],
  ["limit=x", "?limit", 'must be a number, not "x"'],
  ["limit=1e1", "?limit", 'must be a number, not "1e1"'],
  ["limit=", "?limit", 'must be a number, not ""'],
  ["limit=1&limit=2", "?limit", "must be a number, not an array"],
  ["after=job_1", "?after", "must be a dataset's id"],
  ["limti=5", "?limti", 'is not known here; did you mean "limit"?'],
])("the query %s is refused with a pointer", async (query, pointer, message) => {
  const { status, body } = await service.call("GET", `/v1/datasets?${query}`);
  expect([status, body.code]).toEqual([400, "invalid_parameter"]);
  expect(body.errors).toEqual([{ pointer, message }]);
});

test("a file that is not CSV is refused with the line, and leaves nothing behind", async () => {
  const before = service.onDisk();
  const ragged = await service.call("POST", "/v1/datasets", { body: "a,b\n1,2\n3\n", headers: type });
  expect([ragged.status, ragged.body.code, ragged.body.line]).toEqual([422, "invalid_dataset", 3]);
  const empty = await service.call("POST", "/v1/datasets", { body: "", headers: type });
  expect([empty.status, empty.body.code, empty.body.line]).toEqual([422, "invalid_dataset", 1]);
  expect(service.onDisk()).toEqual(before);
});

test("too large an upload is refused with the limit while it is still being sent", async () => {
  const before = service.onDisk();
  const response = await service.call("POST", "/v1/datasets", { body: `a\n${"1\n".repeat(4_000_000)}`, headers: type });
  expect([response.status, response.body.code]).toEqual([413, "too_large"]);
  expect(response.body.detail).toContain("1048576 bytes");
  expect(service.onDisk()).toEqual(before);
});

test.each([
  [{ "content-type": "application/json" }, "Send text/csv"],
  [{ "content-type": "application/json" }, 'go into a spec: "inline"'],
  [{ "content-type": "multipart/form-data; boundary=x" }, "not a form: curl --data-binary @FILE, not -F."],
  [{ "content-type": "text/html" }, "Send text/csv"],
  [{ "content-type": "text/csv; charset=koi8-r" }, "The charset koi8-r cannot be read, only utf-8,"],
  [
    { "content-type": "text/csv", "content-encoding": "zstd" },
    "Content-Encoding zstd, or with one of gzip, deflate, br.",
  ],
  [{ "content-type": "text/csv", "content-encoding": "gzip, gzip" }, "Content-Encoding"],
])("the headers %o are refused", async (headers, detail) => {
  const { status, body } = await service.call("POST", "/v1/datasets", {
    body: "a\n1\n",
    headers,
  });
  expect([status, body.code]).toEqual([415, "unsupported_media_type"]);
  expect(body.detail).toContain(detail);
});

test("an upload that is cut off leaves nothing behind", async () => {
  const before = service.onDisk();
  const { port } = service.app.server.address() as AddressInfo;
  const upload = httpRequest({ port, method: "POST", path: "/v1/datasets", headers: type });
  upload.on("error", () => undefined);
  upload.write("a,b\n1,2\n3,");
  await expect.poll(() => service.onDisk().length).toBeGreaterThan(before.length);
  upload.destroy();
  await expect.poll(() => service.onDisk()).toEqual(before);
  await sleep(50);
  expect((await service.call("GET", "/healthz")).status).toBe(200);
});

test("a dataset is deleted with its file, unless a job needs it", async () => {
  const kept = await service.upload(`${csv}\n99,1,red,cat,7`);
  const { id } = kept;
  const job = await service.create(specFor(id));
  const refused = await service.call("DELETE", `/v1/datasets/${id}`);
  expect([refused.status, refused.body.code]).toEqual([409, "dataset_in_use"]);

  await service.call("POST", `/v1/jobs/${job.id}/cancel`);
  const deleted = await service.call("DELETE", `/v1/datasets/${id}`);
  expect([deleted.status, deleted.text]).toEqual([204, ""]);
  expect(service.onDisk().filter((name) => filesOf(kept).includes(name))).toEqual([]);
  for (const path of [`/v1/datasets/${id}`, `/v1/datasets/${id}/content`]) {
    expect((await service.call("GET", path)).body.code).toBe("not_found");
  }
  expect((await service.call("DELETE", `/v1/datasets/${id}`)).status).toBe(404);
});

test.each([
  "ds_1",
  "ds_01k3w9d0c8v6m2q4r7t5x1y9z",
  "job_01k3w9d0c8v6m2q4r7t5x1y9za",
  "..%2f..%2fetc",
  "ds_01K3W9D0C8V6M2Q4R7T5X1Y9ZA",
])("the id %s is not found", async (id) => {
  for (const path of [`/v1/datasets/${id}`, `/v1/datasets/${id}/content`]) {
    const { status, body } = await service.call("GET", path);
    expect([status, body.code]).toEqual([404, "not_found"]);
  }
});
