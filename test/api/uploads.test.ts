// Uploads while they arrive: how many, how much, and what is left of those that do not end well.
import { once } from "node:events";
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_UPLOADS } from "../../src/api/uploads.ts";
import { apiKey } from "../../src/secrets.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService({ apiKeys: [apiKey("ann", "a"), apiKey("bob", "b")], maxDatasetBytes: 64 * 2 ** 20 });
});
afterAll(() => service.stop());

/** An upload of which the server does not know how long it is. */
function open(key: string): ClientRequest {
  const { port } = service.app.server.address() as AddressInfo;
  const headers = { "content-type": "text/csv", authorization: `Bearer ${key}` };
  const upload = request({ port, method: "POST", path: "/v1/datasets", headers, agent: false });
  upload.on("error", () => undefined);
  return upload;
}

async function answerTo(upload: ClientRequest) {
  const [response] = (await once(upload, "response")) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: JSON.parse(await text(response)) };
}

const limit = (bytes: number | null) =>
  service.store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: bytes,
    checkpoint_bytes: null,
    archived_bytes: null,
  });
const datasets = async () => (await service.store.datasets.list("ann", { limit: 100 })).data;
const row = "1,2\n";

test("the bytes of an owner's uploads are checked while they arrive, all uploads together", async () => {
  await limit(200_000);
  const first = open("a");
  first.write("x,y\n" + row.repeat(30_000));
  await expect.poll(() => service.onDisk()).toHaveLength(1);
  const second = open("a");
  second.write("x,z\n" + row.repeat(10_000));
  const refused = answerTo(second);
  // It is never ended: what has arrived is enough to refuse it.
  second.write(row.repeat(20_000));
  const { status, headers, body } = await refused;
  expect([status, body.code, headers["retry-after"]]).toEqual([429, "rate_limited", "60"]);
  expect(body.detail).toMatch(/^You may have 200000 bytes of datasets; you have 120004, and this would be \d+ more\./);
  second.destroy();
  first.end();
  expect((await answerTo(first)).status).toBe(201);

  // The same bytes take no more room, and are welcome although there is none for others.
  const again = open("a");
  again.end("x,y\n" + row.repeat(30_000));
  expect((await answerTo(again)).status).toBe(200);
  // One that says beforehand how large it is need not send anything.
  const large = open("a");
  large.setHeader("content-length", 200_001);
  large.flushHeaders();
  expect((await answerTo(large)).body.code).toBe("too_large");
  large.destroy();
  // One that fits by itself may come when the others are gone.
  const exact = open("a");
  exact.setHeader("content-length", 200_000);
  exact.flushHeaders();
  expect((await answerTo(exact)).body.code).toBe("rate_limited");
  exact.destroy();
  // All that is left may be used up.
  await limit(120_004 + 120_008);
  const rest = open("a");
  rest.end("x,w\n" + row.repeat(30_001));
  const kept = await answerTo(rest);
  expect(kept.status).toBe(201);
  await service.call("DELETE", `/v1/datasets/${kept.body.id}`, { headers: { authorization: "Bearer a" } });
  await limit(null);
  expect(await datasets()).toHaveLength(1);
  await expect.poll(() => service.onDisk()).toHaveLength(2);
});

test("each owner may have a limited number of uploads at once", async () => {
  const before = service.onDisk().length;
  const uploads = Array.from({ length: MAX_UPLOADS }, () => open("a"));
  for (const [i, upload] of uploads.entries()) upload.write(`x,y${i}\n1,2\n`);
  await expect.poll(() => service.onDisk()).toHaveLength(before + MAX_UPLOADS);
  const more = open("a");
  more.write("x,y\n");
  const { status, headers, body } = await answerTo(more);
  expect([status, body.detail, headers["retry-after"]]).toEqual([
    429,
    "You have 16 uploads under way here, and may have no more. Wait until one has ended.",
    "5",
  ]);
  const other = open("b");
  other.end("x,y\n5,6\n");
  expect((await answerTo(other)).status).toBe(201);
  for (const upload of [more, ...uploads]) upload.destroy();
  // Those that were cut off are none any more, and leave nothing.
  await expect.poll(() => service.onDisk()).toHaveLength(before + 2);
  expect(await datasets()).toHaveLength(1);
  const next = open("a");
  next.end("x,y\n7,8\n");
  expect((await answerTo(next)).status).toBe(201);
});

test("an upload whose client leaves while its rows are parsed leaves no file and no record", async () => {
  const [files, records] = [service.onDisk().toSorted(), await datasets()];
  const bytes = Buffer.from("x,y\n" + "1.5,2.25\n".repeat(5_000_000));
  const upload = open("a");
  upload.end(bytes);
  await once(upload, "finish");
  // All of it is there, and the helper thread has seconds of work with it.
  await expect.poll(() => service.bytesOnDisk(), { timeout: 20_000 }).toBeGreaterThanOrEqual(bytes.length);
  upload.destroy();
  await expect.poll(() => service.onDisk().toSorted(), { timeout: 20_000 }).toEqual(files);
  expect(await datasets()).toEqual(records);
});
