// A worker dies, or is frozen, that has claimed small jobs besides the one that it runs.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventTypes, OWNER } from "../store/support.ts";
import { ended, longSpec, openPlace, waysTaken, type Place } from "./support.ts";

const JOBS = 6;
const small = {
  training: { epochs: 2, batch_size: 32, seed: 3 },
  checkpoint: { every_steps: null, every_seconds: null },
};

let place: Place;
let undisturbed: unknown;
beforeAll(async () => {
  place = await openPlace();
  await place.startWorker();
  undisturbed = (await place.until(await place.post(small), ended)).result;
  await place.killWorkers();
});
afterEach(() => place.killWorkers());
afterAll(() => place.close());

/** Three such jobs come with a claim, and one is enough for its lane not to claim more. */
const WORK_MS = 15;

async function post(): Promise<string> {
  const id = await place.post(small);
  await place.redis.hset(`{rappel}:owner:${OWNER}:job:${id}`, "work_ms", WORK_MS);
  return id;
}

const claimed = async (ids: readonly string[]) =>
  (await Promise.all(ids.map((id) => place.redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "claim")))).filter(
    (claim) => claim !== null,
  ).length;

test.each([
  ["after-claim", 2],
  ["before-final-commit:2", 1],
] as const)(
  "a worker dies at %s: all its jobs end, and only the one that it ran was tried again",
  async (point, left) => {
    const ids: string[] = [];
    for (let i = 0; i < JOBS; i++) ids.push(await post());
    const dying = await place.startWorker({ RAPPEL_CRASH_AT: point });
    expect(await dying.exited).toBe("SIGKILL");
    expect(await claimed(ids)).toBe(left);
    await place.startWorker();
    const jobs = await Promise.all(ids.map((id) => place.until(id, ended, 60_000)));
    for (const job of jobs) expect(job).toMatchObject({ status: "succeeded", result: undisturbed });
    expect(jobs.filter(({ run }) => run === 2)).toHaveLength(1);
    for (const { id, run } of jobs) {
      expect((await eventTypes(place.store, id)).includes("lease_lost")).toBe(run === 2);
    }
  },
);

test("a worker is frozen until its claims have lapsed: no job runs twice, and only its run is blamed", async () => {
  const first = await place.post(longSpec(60), "lane");
  const others: string[] = [];
  for (let i = 0; i < JOBS; i++) others.push(await post());
  const frozen = await place.startWorker();
  // The job is running before its worker knows that it has it.
  await expect.poll(() => waysTaken(frozen, first), { timeout: 30_000 }).toEqual(["lane"]);
  frozen.kill("SIGSTOP");
  const held = await claimed(others);
  expect(held).toBeGreaterThan(0);
  const heir = await place.startWorker();
  const taken = await Promise.all(others.map((id) => place.until(id, ended, 60_000)));
  frozen.kill("SIGCONT");
  await place.until(first, ended, 60_000);
  await expect
    .poll(() => frozen.log, { timeout: 10_000 })
    .toContainEqual(expect.objectContaining({ msg: "run dropped", lane: true, job_id: first }));
  // It takes jobs again.
  heir.kill("SIGTERM");
  await heir.exited;
  const later = await place.post(small);
  expect(await place.until(later, ended)).toMatchObject({ status: "succeeded", result: undisturbed, run: 1 });
  expect(waysTaken(frozen, later)).toEqual(["lane"]);

  for (const { id } of taken) {
    expect(await place.get(id)).toMatchObject({ status: "succeeded", result: undisturbed, run: 1 });
    expect([waysTaken(frozen, id), waysTaken(heir, id)]).toEqual([[], ["lane"]]);
    const types = await eventTypes(place.store, id);
    expect(types).not.toContain("lease_lost");
    expect(types.filter((type) => type === "started")).toHaveLength(1);
    expect(await place.redis.hget(`{rappel}:owner:${OWNER}:job:${id}`, "crashes")).toBeNull();
  }
  expect((await eventTypes(place.store, first)).filter((type) => type === "lease_lost")).toHaveLength(1);
});
