/** Answers of Redis that are lost when one job of a lane follows another. */
import { pino } from "pino";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { Following } from "../../src/runner/following.ts";
import { Unavailable } from "../../src/store/errors.ts";
import type { Claimed } from "../../src/store/taken.ts";
import { eventTypes } from "../store/support.ts";
import { LEASE_MS, openPlace, type Place } from "../worker/support.ts";

let place: Place;
beforeAll(async () => {
  place = await openPlace();
});
afterAll(() => place.close());

const room = { leaseMs: LEASE_MS, idle: true, memoryLeft: 0, arithmeticVersion: ARITHMETIC_VERSION };
const lost = () => new Unavailable("The answer was lost.");

/** Claims three jobs and begins the first. */
async function claimed() {
  for (let i = 0; i < 5; i++) await place.post({}, "lane");
  const claim = await place.store.claim({ token: crypto.randomUUID(), worker: "test", ...room });
  if (claim.outcome !== "taken") throw new Error(claim.outcome);
  expect(claim.rest.length).toBeGreaterThanOrEqual(2);
  return { first: claim.first, rest: [...claim.rest] };
}

function followingOf(rest: Claimed[], closing = new AbortController()): Following {
  return new Following(place.store, rest, () => room, {
    gone: closing.signal,
    log: pino({ level: "silent" }),
  });
}

test("a job that began although nobody was told is asked for until there is an answer", async () => {
  const { rest } = await claimed();
  const [next, ...others] = rest;
  const begin = place.store.begin.bind(place.store);
  const spy = vi.spyOn(place.store, "begin").mockImplementationOnce(async (...args) => {
    await begin(...args);
    throw lost();
  });
  const taken = await followingOf(rest).begun();
  expect(spy).toHaveBeenCalledTimes(2);
  spy.mockRestore();
  expect(taken!.hold).toMatchObject({ jobId: next.jobId, run: 1 });
  expect(rest).toEqual(others);
  expect(await eventTypes(place.store, next.jobId)).toEqual(["created", "started"]);
});

test("the script that ends a job begins the next one once, however often it is asked", async () => {
  const { first, rest } = await claimed();
  const [next, ...others] = rest;
  const lease = place.store.lease(first.hold);
  const finish = lease.finish.bind(lease);
  vi.spyOn(lease, "finish").mockImplementationOnce(async (...args) => {
    await finish(...args);
    throw lost();
  });
  const following = followingOf(rest);
  const end = () => following.beginAt(lease, { status: "cancelled", progress: null, events: [] }, []);
  await expect(end()).rejects.toThrow("The answer was lost.");
  await end();
  expect((await following.begun())!.hold).toMatchObject({ jobId: next.jobId, run: 1 });
  expect(rest).toEqual(others);
  expect(await eventTypes(place.store, next.jobId)).toEqual(["created", "started"]);
});

test("a lane that closes while Redis is away gives up its claims", async () => {
  const { rest } = await claimed();
  const closing = new AbortController();
  const spy = vi.spyOn(place.store, "begin").mockRejectedValue(lost());
  const begun = followingOf(rest, closing).begun();
  await expect.poll(() => spy.mock.calls.length, { timeout: 10_000 }).toBeGreaterThan(1);
  closing.abort(new Error("the lane closes"));
  expect(await begun).toBeNull();
  expect(rest).toEqual([]);
  spy.mockRestore();
});
