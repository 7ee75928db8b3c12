// What answers say in their headers, besides their type.
import { afterAll, beforeAll, expect, test } from "vitest";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
let job: string;
beforeAll(async () => {
  service = await startService();
  ({ id: dataset } = await service.upload(csv));
  ({ id: job } = await service.create(specFor(dataset)));
});
afterAll(() => service.stop());

test.each(["/v1/jobs", "/healthz", "/nowhere", "/docs/json", "/v1/jobs/%"])(
  "a browser makes no page, script or frame of what %s answers",
  async (path) => {
    const { headers } = await service.call("GET", path);
    expect(headers).toMatchObject({
      "content-security-policy": expect.stringContaining("frame-ancestors 'none'"),
      "x-content-type-options": "nosniff",
      "x-frame-options": "SAMEORIGIN",
      "cross-origin-resource-policy": "same-origin",
      "x-request-id": expect.any(String),
    });
    // Whether clients must use TLS is decided elsewhere.
    expect(headers).not.toHaveProperty("strict-transport-security");
    expect(headers).not.toHaveProperty("x-powered-by");
  },
);

test.each(["progress", "diagnosis"])(
  "a cache asks again each time for the %s of a job, and keeps it private",
  async (what) => {
    const path = `/v1/jobs/${job}/${what}`;
    const { headers } = await service.call("GET", path);
    expect(headers["cache-control"]).toBe("private, no-cache");
    const again = await service.call("GET", path, { headers: { "if-none-match": headers.etag } });
    expect([again.status, again.headers["cache-control"]]).toEqual([304, "private, no-cache"]);
  },
);

test("events are a page or a stream, depending on what is accepted", async () => {
  const { headers } = await service.call("GET", `/v1/jobs/${job}/events`);
  expect(headers.vary).toBe("accept");
});

test("a dataset's bytes come with their length, type and hash", async () => {
  const { headers, text } = await service.call("GET", `/v1/datasets/${dataset}/content`);
  const { sha256 } = (await service.call("GET", `/v1/datasets/${dataset}`)).body;
  expect(text).toBe(csv);
  expect(headers).toMatchObject({
    "content-type": "text/csv; charset=utf-8",
    "content-length": String(csv.length),
    etag: `"${sha256}"`,
  });
});

test("what was made says where it is", async () => {
  const again = await service.call("POST", "/v1/datasets", { body: csv, headers: { "content-type": "text/csv" } });
  expect([again.status, again.headers.location]).toEqual([200, `/v1/datasets/${dataset}`]);
  const other = await service.call("POST", "/v1/jobs", { body: specFor(dataset) });
  expect([other.status, other.headers.location]).toEqual([201, `/v1/jobs/${other.body.id}`]);
  expect(other.headers).not.toHaveProperty("idempotency-replayed");
});
