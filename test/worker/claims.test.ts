// A worker dies that has claimed small jobs besides the one that it runs.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventTypes, OWNER } from "../store/support.ts";
import { ended, openPlace, type Place } from "./support.ts";

const JOBS = 6;
/** Each trains for about a millisecond, so that several are claimed together. */
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
    for (let i = 0; i < JOBS; i++) ids.push(await place.post(small));
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
