import { afterAll, beforeAll, expect, test } from "vitest";
import { eventTypes, metricRows, OWNER, steps } from "../store/support.ts";
import { ended, openPlace, sha256, type Place } from "./support.ts";

let place: Place;
beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
});
afterAll(() => place.close());

test("a job is trained, and everything about it can be fetched", async () => {
  const id = await place.post({ checkpoint: { every_steps: 50, every_seconds: null, keep_last: 2, keep_best: true } });
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "succeeded", run: 1, error: null });
  const total = job.progress.total_steps;
  expect(job.result).toMatchObject({ steps: total, epochs: 40, stop_reason: "completed" });
  expect(job.progress).toMatchObject({ step: total, epoch: 40, progress: 1, last_checkpoint_step: total });
  expect(job.progress.learning_rate).toBeCloseTo(0.001);

  const model = (await place.store.jobs.model(OWNER, id, "final"))!;
  expect(sha256(model.bytes)).toBe(job.result!.weights_sha256);
  expect(await place.store.jobs.model(OWNER, id, "best")).not.toBeNull();
  const description = (await place.store.jobs.description(OWNER, id))!;
  expect(description.layers.map(({ parameters }) => parameters)).toEqual([
    { weight: [16, 10], bias: [16] },
    {},
    { weight: [3, 16], bias: [3] },
  ]);
  expect(description.inputs).toHaveLength(10);
  expect(description.target).toMatchObject({ column: "y", task: "classification", classes: ["a", "b", "c"] });

  const metrics = (await metricRows(place.store, OWNER, id))!;
  expect(metrics.filter((row) => "train_loss" in row).map(({ step }) => step)).toEqual(
    Array.from({ length: total }, (_, i) => i + 1),
  );
  expect(metrics.filter((row) => "valid_loss" in row)).toHaveLength(40);
  expect(await steps(place.store, id)).toEqual([total]);
  const types = await eventTypes(place.store, id);
  expect(types.slice(0, 2)).toEqual(["created", "started"]);
  expect(types.at(-1)).toBe("succeeded");
  expect(types).toContain("checkpoint_committed");
  expect(types.filter((type) => type === "evaluated")).toHaveLength(40);
});

test("a detector ends a job that makes no progress, and says why", async () => {
  const id = await place.post({
    optimizer: { type: "adam", lr: 1e-6 },
    observe: { every_steps: 10, per_layer: true },
    detectors: { plateau: { policy: "stop" } },
  });
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "succeeded", result: { stop_reason: "diagnosed" } });
  expect(job.result!.steps).toBeLessThan(job.progress.total_steps);
  const diagnosis = (await place.store.jobs.diagnosis(OWNER, id))!;
  expect(diagnosis.findings.map(({ detector, cause }) => [detector, cause])).toEqual([
    ["update_ratio_out_of_range", "learning_rate_too_low"],
    ["plateau", "learning_rate_too_low"],
  ]);
  const { data } = (await place.store.jobs.events(OWNER, id, { limit: 100 }))!;
  const reported = data.filter(({ type }) => type === "diagnosed");
  expect(reported.map(({ step, message }) => [step, message])).toEqual(
    diagnosis.findings.map(({ step, message, remedy }) => [step, `${message} ${remedy}`]),
  );
  const rows = (await metricRows(place.store, OWNER, id))!.filter((row) => "update_ratio.0" in row);
  expect(rows.map(({ step }) => step)).toEqual(rows.map((_, i) => 10 * (i + 1)));
  expect(rows.at(-1)!.step).toBeGreaterThan(job.result!.steps - 10);
});

test("a job that diverges fails with the cause, which is also in its diagnosis", async () => {
  const id = await place.post({ optimizer: { type: "sgd", lr: 1e30 } });
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "failed", error: { code: "diverged" } });
  const { findings, summary } = (await place.store.jobs.diagnosis(OWNER, id))!;
  expect(findings).toMatchObject([{ detector: "diverging", cause: "learning_rate_too_high" }]);
  expect(findings[0]).toMatchObject({ message: job.error!.message, remedy: job.error!.suggestion });
  expect(summary).toContain("Lower lr (now 1e30)");
});

test("a worker runs as many new jobs at once as it may, though none has a checkpoint yet", async () => {
  await place.startWorker({ JOBS: "2" });
  const long = { training: { epochs: 100_000, batch_size: 8, seed: 1 }, checkpoint: { every_seconds: null } };
  // The other worker takes one.
  const ids = [await place.post(long), await place.post(long), await place.post(long)];
  for (const id of ids) await place.until(id, ({ status }) => status === "running");
  const jobs = await Promise.all(ids.map((id) => place.get(id)));
  expect(jobs.map(({ status }) => status)).toEqual(["running", "running", "running"]);
  for (const id of ids) await place.store.jobs.cancel(OWNER, id);
});

test("a job for which the others leave too little memory waits until the worker is idle", async () => {
  await place.killWorkers();
  await place.startWorker({ JOBS: "2", JOBS_BYTES: "1" });
  const first = await place.post({ training: { epochs: 600, batch_size: 8, seed: 1 } });
  await place.until(first, ({ status }) => status === "running");
  // Together they would take more.
  const second = await place.post({ training: { epochs: 1, batch_size: 8, seed: 2 } });
  const [ended1, ended2] = [await place.until(first, ended), await place.until(second, ended)];
  expect([ended1.status, ended2.status]).toEqual(["succeeded", "succeeded"]);
  expect(Date.parse(ended2.started_at!)).toBeGreaterThanOrEqual(Date.parse(ended1.finished_at!));
});
