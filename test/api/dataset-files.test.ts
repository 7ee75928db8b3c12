// The files of datasets: who keeps them, who removes them, and what happens when they are damaged.
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTable, recordDataset, removeDataset, sweepFiles } from "../../src/api/datasets.ts";
import type { TablePath } from "../../src/data/beside.ts";
import { columnsFile, csvFile, filesOf } from "../../src/data/dataset.ts";
import { DatasetFiles } from "../../src/data/files/dataset-files.ts";
import { runInHelper, thisProcess } from "../../src/data/pool.ts";
import { FIRST_READING, type Reading } from "../../src/data/reading.ts";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import { csv, specFor, startService, type Service } from "./service.ts";
import type { Problem } from "../../src/contract/errors.ts";
import { ingest } from "../support/datasets.ts";
import { writeSafetensors } from "../../src/engine/state/safetensors.ts";
import { smallDisk } from "../support/disk.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const type = { "content-type": "text/csv" };

const original = async (files: DatasetFiles, { sha256 }: { sha256: string }) =>
  await text((await files.original({ sha256 }))!.checked(sha256));

test("a start removes files of no dataset, unless an upload may be using them or Redis has no datasets at all", async () => {
  const other = await startService();
  const files = new DatasetFiles(other.directory);
  const crashed = await ingest(files, Readable.from([Buffer.from("a,b\n1,2\n")]), 1000);
  const age = async () => {
    const then = new Date(Date.now() - 3_700_000);
    for (const name of other.onDisk()) await utimes(join(other.directory, name), then, then);
  };
  const sweep = () => sweepFiles({ store: other.store, files }, { warn: () => undefined });
  await age();
  await sweep();
  expect(other.onDisk()).toHaveLength(2);

  const kept = await other.upload(csv);
  // The same bytes are being uploaded again: the file is there, and its record to come.
  await ingest(files, Readable.from([Buffer.from("a,b\n1,2\n")]), 1000);
  await sweep();
  expect(other.onDisk()).toHaveLength(4);
  // Other uploads were killed: one between its two files, one that read kept bytes otherwise.
  writeFileSync(join(other.directory, `${"1".repeat(64)}.csv`), "a,b\n1,2\n");
  await ingest(files, Readable.from([Buffer.from(csv)]), 1000, otherwise);
  expect(other.onDisk()).toHaveLength(6);
  await age();
  await sweep();
  expect(other.onDisk().toSorted()).toEqual(filesOf(kept).toSorted());
  expect(await files.has(crashed)).toBe(false);
  await other.stop();
});

test("bytes that are uploaded while their last dataset is deleted still exist afterwards", async () => {
  const files = new DatasetFiles(service.directory);
  const parts = { store: service.store, files };
  const before = await service.upload("a,b\n5,6\n");
  const draft = await files.receive(Readable.from([Buffer.from("a,b\n5,6\n")]), 1000);
  let removed: Promise<unknown> | undefined;
  // The deletion comes when the file is kept and its record is still to be written.
  const keep = async () => {
    await draft.keep();
    removed = removeDataset(parts, "default", before);
    await sleep(100);
  };
  const { record } = await recordDataset(parts, "ann", null, { ...draft, keep });
  expect(await removed).toBe("removed");
  expect(await original(files, record)).toBe("a,b\n5,6\n");
});

/** Another way to read the same bytes. */
const otherwise: Reading = { ...FIRST_READING, comment: "#" };

/** Keeps a table as an upload does. */
async function keep(
  parts: Pick<Service, "store"> & { files: DatasetFiles },
  owner: string,
  bytes: string,
  reading?: Reading,
) {
  const draft = await parts.files.receive(Readable.from([Buffer.from(bytes)]), 1000, thisProcess, undefined, reading);
  try {
    return await recordDataset(parts, owner, null, draft);
  } finally {
    await draft.discard();
  }
}

test.each([
  ["in one way", FIRST_READING],
  ["in two ways", otherwise],
])(
  "two processes that keep and delete the same bytes, read %s, leave no record without its files",
  async (_, second) => {
    // Each process has a DatasetFiles of its own, so that nothing but the order of their steps
    // holds them apart.
    const processes = [1, 2].map(() => ({ store: service.store, files: new DatasetFiles(service.directory) }));
    const before = service.onDisk();
    const bytes = "a,b\n7,8\n";
    const kept: unknown[] = [];
    const lane = async (parts: (typeof processes)[number], owner: string, reading: Reading) => {
      for (let i = 0; i < 60; i++) {
        const { record } = await keep(parts, owner, bytes, reading).catch((error: Problem) => {
          expect(error.code).toBe("unavailable");
          return { record: null };
        });
        if (record === null) continue;
        // As long as the record is there, so are the files.
        const columns = await text((await parts.files.columns(record)).from(0));
        kept.push([await original(parts.files, record), columns.includes('"reading":')]);
        expect(await removeDataset(parts, owner, record)).toBe("removed");
      }
    };
    await Promise.all([lane(processes[0], "ann", FIRST_READING), lane(processes[1], "bob", second)]);
    expect(kept.length).toBeGreaterThan(0);
    expect(new Set(kept.map((each) => JSON.stringify(each)))).toEqual(new Set([JSON.stringify([bytes, true])]));
    expect(service.onDisk()).toEqual(before);
  },
);

test("a dataset that is deleted while it is read counts as one that does not exist, and a lost one does not", async () => {
  const files = new DatasetFiles(service.directory);
  const parts = { store: service.store, files };
  const { record } = await keep(parts, "ann", "a,b\n9,8\n", FIRST_READING);
  const read = async (table: TablePath) => {
    await removeDataset(parts, "ann", record);
    return await runInHelper("previewFile", { table, rows: 1 }, thisProcess);
  };
  expect(await readTable(parts, "ann", [record.id], read)).toBe(null);
  const { record: lost } = await keep(parts, "ann", "a,b\n9,8\n", FIRST_READING);
  for (const name of filesOf(lost)) rmSync(join(service.directory, name));
  const preview = (table: TablePath) => runInHelper("previewFile", { table, rows: 1 }, thisProcess);
  await expect(readTable(parts, "ann", [lost.id], preview)).rejects.toThrow("The file of columns is missing.");
  await removeDataset(parts, "ann", lost);
});

test("if the files of an upload have gone when it is recorded, nothing of it remains, and it is to be sent again", async () => {
  // As if another process had deleted the last dataset of these bytes just then.
  class Robbed extends DatasetFiles {
    override async hasAll(): Promise<boolean> {
      return false;
    }
  }
  const parts = { store: service.store, files: new Robbed(service.directory) };
  const before = service.onDisk();
  const { total } = await count("ann");
  await expect(keep(parts, "ann", "a,b\n7,10\n")).rejects.toMatchObject({
    code: "unavailable",
    headers: { "retry-after": "1" },
  });
  expect(await count("ann")).toEqual({ total });
  expect(service.onDisk()).toEqual(before);
  // A record that was there before is left: its owner may still want it.
  const sound = { ...parts, files: new DatasetFiles(service.directory) };
  const { record } = await keep(sound, "ann", "a,b\n7,11\n");
  await expect(keep(parts, "ann", "a,b\n7,11\n")).rejects.toMatchObject({ code: "unavailable" });
  expect(await service.store.datasets.get("ann", record.id)).toEqual(record);
  await removeDataset(sound, "ann", record);
});

async function count(owner: string): Promise<{ total: number }> {
  return { total: (await service.store.datasets.list(owner, { limit: 100 })).data.length };
}

test("the files of a dataset that a job uses are not taken away, not even for a moment", async () => {
  class Watched extends DatasetFiles {
    override retire(): never {
      throw new Error("they were taken away");
    }
  }
  const kept = await service.upload(`${csv}\n94,1,red,cat,7`);
  await service.create(specFor(kept.id));
  const parts = { store: service.store, files: new Watched(service.directory) };
  expect(await removeDataset(parts, "default", kept)).toBe("in_use");
});

test("the same bytes with another reading are another dataset with the same file", async () => {
  const { store } = service;
  const parts = { store, files: new DatasetFiles(service.directory) };
  const before = service.onDisk();
  const bytes = "a,b\n7,9\n";
  const [first, second] = [await keep(parts, "ann", bytes), await keep(parts, "ann", bytes, otherwise)];
  const bobs = await keep(parts, "bob", bytes, otherwise);
  expect([first, second, bobs].map(({ created }) => created)).toEqual([true, true, true]);
  expect(second.record).toMatchObject({ sha256: first.record.sha256, reading: otherwise });
  expect(await keep(parts, "ann", bytes, otherwise)).toEqual({ ...second, created: false });
  const names = () => service.onDisk().filter((name) => !before.includes(name));
  const files = [...filesOf(first.record), columnsFile(second.record)];
  expect(names()).toEqual(files.toSorted());

  // Ann's alone are the columns of the first reading.
  await removeDataset(parts, "ann", first.record);
  expect(names()).toEqual(filesOf(second.record).toSorted());
  await removeDataset(parts, "ann", second.record);
  expect(names()).toEqual(filesOf(bobs.record).toSorted());
  expect(await original(parts.files, bobs.record)).toBe(bytes);
  await removeDataset(parts, "bob", bobs.record);
  expect(names()).toEqual([]);
});

/** As an earlier version recorded a dataset, and named its columns. */
async function madeOld(dataset: Dataset): Promise<void> {
  const redis = service.redis.client();
  const root = "{rappel}:owner:default:dataset";
  const { columns_sha256, reading: _, ...record } = JSON.parse((await redis.get(`${root}:${dataset.id}`))!);
  await redis.set(`${root}:${dataset.id}`, JSON.stringify(record));
  await redis.hdel(`${root}s:sha256`, columns_sha256);
  await redis.hset(`${root}s:sha256`, dataset.sha256, dataset.id);
  await redis.hdel("{rappel}:files", ...filesOf(dataset));
  await redis.hset("{rappel}:files", dataset.sha256, 1);
  const old = join(service.directory, columnsFile({ ...dataset, columns_sha256: null }));
  renameSync(join(service.directory, columnsFile(dataset)), old);
}

test("a dataset of an earlier version keeps its reading, and a new upload of its bytes gets today's", async () => {
  const before = service.onDisk();
  const body = `${csv}\nNA,1,red,cat,7`;
  const parts = { store: service.store, files: new DatasetFiles(service.directory) };
  const { record: old } = await keep(parts, "default", body, FIRST_READING);
  const validate = (id: string) => service.call("POST", "/v1/jobs?validate_only=true", { body: specFor(id) });
  const valid = (await validate(old.id)).body;
  await madeOld(old);
  const read = async () => (await service.call("GET", `/v1/datasets/${old.id}`)).body;
  expect(await read()).toEqual({ ...old, columns_sha256: null });
  expect(old.columns[0]).toMatchObject({ type: "categorical", missing: 0 });

  const today = await service.call("POST", "/v1/datasets", { body, headers: type });
  expect([today.status, today.body.id === old.id]).toEqual([201, false]);
  expect(today.body.columns[0]).toMatchObject({ type: "numeric", missing: 1 });
  const again = await service.call("POST", "/v1/datasets", { body, headers: type });
  expect([again.status, again.body]).toEqual([200, today.body]);
  const path = join(service.directory, `${old.sha256}.columns`);
  truncateSync(path, 300);
  expect((await validate(old.id)).body).toEqual(valid);
  expect(await read()).toEqual({ ...old, columns_sha256: null });

  // Each takes its own columns away, and the last one the bytes.
  const names = () => service.onDisk().filter((name) => !before.includes(name));
  await service.call("DELETE", `/v1/datasets/${old.id}`);
  expect(names()).toEqual(filesOf(today.body).toSorted());
  expect((await service.call("GET", `/v1/datasets/${today.body.id}/content`)).text).toBe(body);
  await service.call("DELETE", `/v1/datasets/${today.body.id}`);
  expect(names()).toEqual([]);
});

describe("a dataset that was damaged on disk", () => {
  const flip = (path: string) => {
    const bytes = readFileSync(path);
    bytes[bytes.length - 9] ^= 1;
    writeFileSync(path, bytes);
  };
  const columnsOf = (dataset: Dataset) => join(service.directory, columnsFile(dataset));
  const csvOf = (dataset: Dataset) => join(service.directory, csvFile(dataset));

  test.each([
    ["flipped", flip],
    ["cut off", (path: string) => truncateSync(path, 300)],
    ["missing", (path: string) => rmSync(path)],
  ])("serves jobs as before if its columns are %s", async (_, damage) => {
    const kept = await service.upload(`${csv}\n98,1,red,cat,${Math.random()}`);
    const spec = specFor(kept.id);
    const before = await service.call("POST", "/v1/jobs?validate_only=true", { body: spec });
    damage(columnsOf(kept));
    const after = await service.call("POST", "/v1/jobs?validate_only=true", { body: spec });
    expect([after.status, after.body]).toEqual([200, before.body]);
  });

  test("is refused with advice if its original is damaged too, and an upload of the same bytes repairs it", async () => {
    const body = `${csv}\n97,1,red,cat,7`;
    const kept = await service.upload(body);
    const { id } = kept;
    flip(csvOf(kept));
    const content = () => service.call("GET", `/v1/datasets/${id}/content`);
    const broken = await content();
    expect([broken.status, broken.body.detail, broken.headers.etag]).toEqual([
      503,
      "The file of this dataset is damaged. Upload the same bytes again: that repairs it.",
      undefined,
    ]);
    truncateSync(columnsOf(kept), 20);
    const refused = await service.call("POST", "/v1/jobs", { body: specFor(id) });
    expect([refused.status, refused.body.code]).toEqual([503, "unavailable"]);
    expect(refused.body.detail).toContain("Upload the same bytes again");

    const again = await service.call("POST", "/v1/datasets", { body, headers: { "content-type": "text/csv" } });
    expect([again.status, again.body.id]).toEqual([200, id]);
    const whole = await content();
    expect([whole.status, whole.text]).toEqual([200, body]);
    await service.create(specFor(id));
  });

  test("whose original is missing says so", async () => {
    const kept = await service.upload(`${csv}\n96,1,red,cat,7`);
    const { id } = kept;
    rmSync(csvOf(kept));
    const { status, body } = await service.call("GET", `/v1/datasets/${id}/content`);
    expect([status, body.code]).toEqual([503, "unavailable"]);
    expect(body.detail).toContain("is missing on this machine. Upload the same bytes again");
    // What jobs need is still there.
    await service.create(specFor(id));
  });
});

/** A file of weights with so many numbers. */
function weightsOf(count: number): Buffer {
  return Buffer.from(writeSafetensors([{ name: "w", shape: [count], bytes: new Uint8Array(4 * count) }], {}));
}

test("a full disk refuses uploads with a sentence but allows deletions; a read-only disk refuses both", async (context) => {
  const disk = smallDisk(context, "512k");
  const directory = join(disk.directory, "datasets");
  const small = await startService({}, directory);
  context.onTestFinished(() => small.stop());
  const type = { "content-type": "text/csv" };
  const upload = (body: string) => small.call("POST", "/v1/datasets", { body, headers: type });
  const ready = async () => {
    const { status, body } = await small.call("GET", "/readyz");
    return [status, body.checks.disk];
  };
  const content = async (id: string) => (await small.call("GET", `/v1/datasets/${id}/content`)).text;
  const kept = (await upload(csv)).body;
  expect(await ready()).toEqual([200, "ok"]);

  disk.fill();
  const other = `${csv}\n95,1,red,cat,7`;
  const full = await upload(other);
  expect([full.status, full.body.detail]).toEqual([503, "The disk that datasets are kept on is full."]);
  expect(Number(full.headers["retry-after"])).toBeGreaterThan(0);
  const weights = await small.call("POST", "/v1/weights", { body: weightsOf(2 ** 18) });
  expect([weights.status, weights.body.detail]).toEqual([503, "The disk that datasets are kept on is full."]);
  expect(small.onDisk().filter((name) => name.includes("weights"))).toEqual([]);
  expect(await ready()).toEqual([503, `the disk of ${directory} is full`]);
  expect(await content(kept.id)).toBe(csv);

  disk.readOnly(true);
  const refused = await small.call("DELETE", `/v1/datasets/${kept.id}`);
  expect([refused.status, refused.body.detail]).toEqual([503, "The disk that datasets are kept on is read-only."]);
  expect((await upload(other)).status).toBe(503);
  expect(await ready()).toEqual([503, `the disk of ${directory} is read-only`]);
  expect((await small.call("GET", `/v1/datasets/${kept.id}`)).status).toBe(200);
  expect(await content(kept.id)).toBe(csv);

  disk.readOnly(false);
  expect((await small.call("DELETE", `/v1/datasets/${kept.id}`)).status).toBe(204);
  expect(small.onDisk().filter((name) => filesOf(kept).some((file) => name.includes(file)))).toEqual([]);
  disk.resize("1m");
  expect((await upload(other)).status).toBe(201);
  expect(await ready()).toEqual([200, "ok"]);
});
