import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lease } from "../../src/store/lease.ts";
import { acquire, checkpoint, progressAt } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let lease: Lease;
let id: string;
beforeAll(async () => {
  service = await startService();
  ({ id } = await service.create(specFor((await service.upload(csv)).id)));
  lease = await acquire(service.store, id);
});
afterAll(() => service.stop());

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

test("progress is polled with an ETag that changes when it does", async () => {
  await lease.report(1, progressAt(3), [], []);
  const path = `/v1/jobs/${id}/progress`;
  const first = await service.call("GET", path);
  expect(first.body).toMatchObject({ job_id: id, status: "running", run: 1, step: 3, total_steps: 12, progress: 0.25 });
  const { etag } = first.headers;
  expect(etag).toMatch(/^"[\w-]{22}"$/);

  for (const header of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
    const same = await service.call("GET", path, { headers: { "if-none-match": header } });
    expect([same.status, same.text, same.headers.etag]).toEqual([304, "", etag]);
  }
  await lease.report(2, progressAt(4), [], []);
  const second = await service.call("GET", path, { headers: { "if-none-match": etag } });
  expect([second.status, second.body.step]).toEqual([200, 4]);
  expect(second.headers.etag).not.toBe(etag);
});

test("curves are picked by name and step, and thinned", async () => {
  const rows = Array.from({ length: 50 }, (_, i) => ({
    step: i + 1,
    train_loss: i === 30 ? 99 : 1 / (i + 1),
    learning_rate: 0.1,
  }));
  await lease.report(3, progressAt(5), [], [...rows, { step: 50, valid_loss: 0.3, valid_accuracy: Number.NaN }]);
  const get = async (query: string) => (await service.call("GET", `/v1/jobs/${id}/metrics?${query}`)).body.series;

  const all = await get("");
  expect(Object.keys(all).sort()).toEqual(["learning_rate", "train_loss", "valid_accuracy", "valid_loss"]);
  expect(all.train_loss.steps).toEqual(rows.map(({ step }) => step));
  expect(all.train_loss.values).toEqual(rows.map(({ train_loss }) => train_loss));
  expect(all.valid_accuracy).toEqual({ steps: [50], values: [null] });

  expect(Object.keys(await get("names=train_loss,grad_norm"))).toEqual(["train_loss"]);
  expect((await get("from_step=10&to_step=12")).train_loss.steps).toEqual([10, 11, 12]);
  expect(await get("from_step=51")).toEqual({});
  const thin = await get("max_points=6");
  expect(thin.train_loss.steps).toHaveLength(6);
  expect(thin.train_loss.values).toContain(99);
  expect(thin.train_loss.steps.at(-1)).toBe(50);
});

test.each([
  ["names=loss", "?names"],
  ["from_step=-1", "?from_step"],
  ["to_step=1.5", "?to_step"],
  ["max_points=1", "?max_points"],
  ["max_points=10001", "?max_points"],
  ["points=5", "?points"],
])("the query %s of curves is refused", async (query, pointer) => {
  const { status, body } = await service.call("GET", `/v1/jobs/${id}/metrics?${query}`);
  expect([status, body.code, body.errors[0].pointer]).toEqual([400, "invalid_parameter", pointer]);
});

test("events are listed from old to new, page by page", async () => {
  const first = (await service.call("GET", `/v1/jobs/${id}/events?limit=1`)).body;
  expect(first.data.map(({ type }: { type: string }) => type)).toEqual(["created"]);
  const second = (await service.call("GET", `/v1/jobs/${id}/events?after=${first.next}`)).body;
  expect(second.data[0]).toMatchObject({ type: "started", run: 1 });
  expect(second.has_more).toBe(false);
  for (const after of ["x", "-1", "9".repeat(30)]) {
    expect((await service.call("GET", `/v1/jobs/${id}/events?after=${after}`)).status).toBe(400);
    expect((await service.call("GET", `/v1/jobs/${id}/checkpoints?after=${after}`)).status).toBe(400);
  }
});

test("checkpoints are listed from new to old, and served until retention removes them", async () => {
  const states = [1, 2, 3].map((step) => Buffer.alloc(1000 * step, step));
  for (const [i, bytes] of states.entries()) await checkpoint(lease, i + 1, { bytes, keepLast: 2 });
  const { body } = await service.call("GET", `/v1/jobs/${id}/checkpoints`);
  expect(body.data.map(({ step, bytes }: { step: number; bytes: number }) => [step, bytes])).toEqual([
    [3, 3000],
    [2, 2000],
  ]);
  const { status, headers, body: bytes } = await service.call("GET", `/v1/jobs/${id}/checkpoints/3`);
  expect([status, headers["content-type"], headers["content-length"]]).toEqual([
    200,
    "application/octet-stream",
    "3000",
  ]);
  expect(bytes.equals(states[2])).toBe(true);
  for (const step of ["1", "99", "x", "-1", "3.0", "9".repeat(30)]) {
    const gone = await service.call("GET", `/v1/jobs/${id}/checkpoints/${step}`);
    expect([step, gone.status, gone.body.code]).toEqual([step, 404, "not_found"]);
  }
});

test("a model exists once the job has succeeded, not before", async () => {
  for (const path of ["model", "model?which=best", "model/description"]) {
    const { status, body } = await service.call("GET", `/v1/jobs/${id}/${path}`);
    expect([status, body.code, body.current_status]).toEqual([409, "wrong_status", "running"]);
  }
  const weights = Buffer.from("the weights");
  const metrics = { valid_loss: 0.25, valid_accuracy: 1 };
  await lease.finish(
    {
      status: "succeeded",
      result: {
        weights_sha256: sha256(weights),
        steps: 12,
        epochs: 3,
        stop_reason: "completed",
        metrics,
        best: null,
        changes: [],
      },
      model: {
        layers: [{ name: "0", type: "linear", parameters: { weight: [8, 6], bias: [8] } }],
        inputs: [
          { column: "x", type: "numeric", scale: "standardize", mean: 9, std: 5, min: 0, max: 19, fill: null },
          { column: "colour", type: "categorical", classes: ["blue", "green", "red"], fill: null },
        ],
        target: { column: "label", task: "classification", classes: ["cat", "dog"], mean: null, std: null },
      },
      progress: progressAt(12),
      models: { final: { ...(await lease.upload(weights))!, sha256: sha256(weights) } },
      events: [{ type: "succeeded", message: "Done.", step: 12, data: null }],
    },
    [],
  );

  const model = await service.call("GET", `/v1/jobs/${id}/model`);
  expect([model.status, model.headers["content-type"]]).toEqual([200, "application/octet-stream"]);
  expect(model.headers).toMatchObject({ etag: `"${sha256(weights)}"`, "content-length": String(weights.length) });
  expect(model.body.equals(weights)).toBe(true);
  const again = await service.call("GET", `/v1/jobs/${id}/model?which=final`, {
    headers: { "if-none-match": model.headers.etag },
  });
  expect(again.status).toBe(304);
  const head = await service.call("HEAD", `/v1/jobs/${id}/model`);
  expect([head.status, head.headers["content-length"], head.text]).toEqual([200, String(weights.length), undefined]);

  const best = await service.call("GET", `/v1/jobs/${id}/model?which=best`);
  expect([best.status, best.body.code]).toEqual([404, "not_found"]);
  const worst = await service.call("GET", `/v1/jobs/${id}/model?which=worst`);
  expect([worst.status, worst.body.errors[0].pointer]).toEqual([400, "?which"]);

  const description = await service.call("GET", `/v1/jobs/${id}/model/description`);
  expect(description.body).toMatchObject({ job_id: id, weights_sha256: sha256(weights), metrics });
  const unchanged = await service.call("GET", `/v1/jobs/${id}/model/description`, {
    headers: { "if-none-match": description.headers.etag },
  });
  expect(unchanged.status).toBe(304);

  const job = (await service.call("GET", `/v1/jobs/${id}`)).body;
  expect(job).toMatchObject({
    status: "succeeded",
    progress: { progress: 1 },
    result: { metrics, best: null, changes: [] },
  });
});

test("a job that asked for best weights but never had any serves none", async () => {
  const checkpoint = { keep_best: true };
  const job = await service.create(specFor((await service.upload(csv)).id, { checkpoint }));
  const own = await acquire(service.store, job.id);
  const weights = Buffer.from("the last weights");
  const [hash, last] = [sha256(weights), (await own.upload(weights, "final"))!];
  const result = { weights_sha256: hash, steps: 12, epochs: 3, metrics: {}, best: null, changes: [] };
  const ending = {
    status: "succeeded" as const,
    result: { ...result, stop_reason: "completed" as const },
    progress: progressAt(12),
    models: { final: { ...last, sha256: hash } },
    events: [],
  };
  await own.finish(ending, []);
  expect((await service.call("GET", `/v1/jobs/${job.id}/model`)).status).toBe(200);
  const { status, body } = await service.call("GET", `/v1/jobs/${job.id}/model?which=best`);
  expect([status, body.code]).toEqual([404, "not_found"]);
});
