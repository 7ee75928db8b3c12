import { afterEach, beforeEach, expect, test } from "vitest";
import { eventTypes, OWNER } from "../store/support.ts";
import { ended, LEASE_MS, longSpec, openPlace, type Place, type WorkerProcess } from "./support.ts";

/** How runs end that something goes wrong with, and what is left for the next job then. */

let place: Place;
beforeEach(async () => {
  place = await openPlace();
});
afterEach(() => place.close());

const long = longSpec(30_000);
const record = (id: string) => `{rappel}:owner:${OWNER}:job:${id}`;
const said = (worker: WorkerProcess, msg: string) =>
  expect.poll(() => worker.log, { timeout: 20_000 }).toContainEqual(expect.objectContaining({ msg }));

test("what Redis refuses for good ends the job as internal, with a word in the log, and the next one runs", async () => {
  const worker = await place.startWorker();
  const id = await place.post(long);
  await place.until(id, (job) => job.progress.step > 0);
  await place.redis.set(`${record(id)}:metrics`, "no rows");
  const job = await place.until(id, ended);
  expect(job).toMatchObject({ status: "failed", run: 1, error: { code: "internal" } });
  expect(job.error!.message).toContain("WRONGTYPE");
  expect((await eventTypes(place.store, id)).at(-1)).toBe("failed");
  expect(worker.log).toContainEqual(expect.objectContaining({ msg: "job failed", job_id: id }));
  expect(await place.until(await place.post(), ended)).toMatchObject({ status: "succeeded" });
});

test("a job is cancelled though its result cannot be stored, and the next one runs", async () => {
  const worker = await place.startWorker();
  const id = await place.post();
  // All that there is but the models.
  const parts = ["", ":events", ":metrics", ":checkpoints", ":checkpoint:*", ":chunk:*", ":uploads"];
  const jobs = parts.map((part) => `~{rappel}:owner:${OWNER}:job:job_??????????????????????????${part}`);
  const others = [
    "~{rappel}:[^o]*",
    "~{rappel}:o[^w]*",
    `~{rappel}:owner:${OWNER}:[^j]*`,
    `~{rappel}:owner:${OWNER}:jobs*`,
  ];
  await place.redis.acl("SETUSER", "default", "resetkeys", ...jobs, ...others);
  await said(worker, "failed, trying again: reading or writing a job's record");
  expect(await place.get(id)).toMatchObject({ status: "running", progress: { progress: 1 } });
  await place.store.jobs.cancel(OWNER, id);
  expect(await place.until(id, ended)).toMatchObject({ status: "cancelled", run: 1 });
  await place.redis.acl("SETUSER", "default", "allkeys");
  expect(await place.until(await place.post(), ended)).toMatchObject({ status: "succeeded" });
});

test("a job that lost its worker shares the next one once it is past that point", async () => {
  const dying = await place.startWorker({ RAPPEL_CRASH_AT: "after-acquire" });
  const crashed = await place.post(long);
  expect(await dying.exited).toBe("SIGKILL");
  await place.startWorker({ JOBS: "2" });
  await place.until(crashed, (job) => job.run === 2);
  const other = await place.post();
  expect(await place.until(other, ended, 60_000)).toMatchObject({ status: "succeeded" });
  expect(await place.get(crashed)).toMatchObject({ status: "running", run: 2 });
  expect(await eventTypes(place.store, crashed)).toContain("checkpoint_committed");
});

test("a job that does not stop in time goes back at once, and that is no crash", async () => {
  const worker = await place.startWorker({ SHUTDOWN_MS: "0" });
  const id = await place.post(long);
  await place.until(id, (job) => job.progress.last_checkpoint_step !== null);
  worker.kill("SIGTERM");
  expect(await worker.exited).toBe(0);
  expect(worker.log).toContainEqual(expect.objectContaining({ msg: "not all jobs stopped in time" }));
  expect(await place.get(id)).toMatchObject({ status: "queued", run: 1 });
  await place.startWorker({ JOBS: "2" });
  await place.until(id, (job) => job.run === 2 && job.progress.step > 0);
  expect(await eventTypes(place.store, id)).not.toContain("lease_lost");
  expect(await place.redis.hget(record(id), "crashes")).toBeNull();
});

test("Redis hangs and answers again: the run holds, goes on, and is not taken for dead", async () => {
  const worker = await place.startWorker();
  const id = await place.post(longSpec(60));
  await place.until(id, (job) => job.progress.step > 0);
  place.server.kill("SIGSTOP");
  await said(worker, "Redis is away: holding");
  await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
  place.server.kill("SIGCONT");
  expect(await place.until(id, ended, 60_000)).toMatchObject({ status: "succeeded", run: 1 });
});

test("a job gives its threads back however it ends", async () => {
  await place.startWorker({ THREADS: "2" });
  const busy = async () => (await place.store.overview.workers()).map(({ threads }) => threads.busy);
  const resources = { threads: 2 };
  const cancelled = await place.post({ ...long, resources });
  await place.until(cancelled, (job) => job.progress.step > 0);
  await expect.poll(busy, { timeout: 10_000 }).toEqual([2]);
  await place.store.jobs.cancel(OWNER, cancelled);
  const diverges = await place.post({ resources, optimizer: { type: "sgd", lr: 1e30 } });
  const succeeds = await place.post({ resources });
  expect(await place.until(cancelled, ended)).toMatchObject({ status: "cancelled" });
  expect(await place.until(diverges, ended)).toMatchObject({ status: "failed" });
  expect(await place.until(succeeds, ended)).toMatchObject({ status: "succeeded" });
  await expect.poll(busy, { timeout: 10_000 }).toEqual([0]);
});
