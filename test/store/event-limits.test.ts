// A run may tell only so many events of a type (src/store/room.ts).
import { expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import { acquire, checkpoint, eventTypes, lapse, OWNER } from "./support.ts";
import { postJob, progressAt, room } from "./support.ts";
import { free, MiB, redis, setUpStore, store, usage } from "./setup.ts";

const MAX_BYTES = 64 * MiB;

setUpStore({ maxBytes: MAX_BYTES });

const requeued = { type: "requeued" as const, message: "Given back.", step: null, data: null };

test("a run writes a limited number of events of a type and notes that it omits the rest; the next run may repeat them", async () => {
  const limits = { ...room(MiB), eventLimits: { evaluated: 2 } };
  const id = await postJob(store, { room: limits });
  const evaluated = { type: "evaluated" as const, message: "x".repeat(50_000), step: 1, data: null };
  const tell = async (lease: Awaited<ReturnType<typeof acquire>>) =>
    lease.report(1, progressAt(1), [evaluated, evaluated, evaluated, evaluated], []);
  await tell(await acquire(store, id));
  const reported = ["evaluated", "evaluated", "events_omitted"];
  expect(await eventTypes(store, id)).toEqual(["created", "started", ...reported]);
  await lapse(redis, id);
  const second = await acquire(store, id);
  // The owner has that much more.
  expect((await usage()).checkpoint_bytes).toBe(await redis.hget(keys.job(OWNER, id), "reserved"));
  await tell(second);
  await second.finish({ status: "failed", progress: null, events: [{ ...requeued, type: "failed" }] }, []);
  expect(await eventTypes(store, id)).toEqual([
    "created",
    "started",
    ...reported,
    "lease_lost",
    "resumed",
    ...reported,
    "failed",
  ]);

  // If there is no room for repetition, the count stays.
  const full = await postJob(store, { room: limits });
  await tell(await acquire(store, full));
  await postJob(store, { room: room((await free()) - 50_000) });
  await lapse(redis, full);
  await tell(await acquire(store, full));
  expect(await eventTypes(store, full)).toEqual(["created", "started", ...reported, "lease_lost", "resumed"]);
});

test("a job whose owner may have no more bytes does not repeat its events", async () => {
  const id = await postJob(store, { room: { ...room(MiB), eventLimits: { evaluated: 1 } } });
  await store.limitOwners({
    waiting: null,
    running: null,
    dataset_bytes: null,
    checkpoint_bytes: MiB,
    archived_bytes: null,
  });
  const evaluated = { type: "evaluated" as const, message: "Evaluated.", step: 1, data: null };
  await (await acquire(store, id)).report(1, progressAt(1), [evaluated, evaluated], []);
  await lapse(redis, id);
  await (await acquire(store, id)).report(1, progressAt(1), [evaluated, evaluated], []);
  const reported = ["created", "started", "evaluated", "events_omitted", "lease_lost", "resumed"];
  expect(await eventTypes(store, id)).toEqual(reported);
  expect(await usage()).toEqual({ checkpoint_bytes: String(MiB) });
});

test("a run that is rewound repeats its events", async () => {
  const id = await postJob(store, { room: { ...room(MiB), eventLimits: { evaluated: 1 } } });
  const lease = await acquire(store, id);
  const evaluated = { type: "evaluated" as const, message: "Evaluated.", step: 1, data: null };
  await lease.report(1, progressAt(1), [evaluated], []);
  await lease.rewind(0, [], { type: "rewound", message: "Back.", step: 0, data: null });
  await lease.report(2, progressAt(1), [evaluated], []);
  expect(await eventTypes(store, id)).toEqual(["created", "started", "evaluated", "rewound", "evaluated"]);
});

test("a run whose checkpoint is damaged repeats its events", async () => {
  const id = await postJob(store, { room: { ...room(MiB), eventLimits: { evaluated: 1 } } });
  const lease = await acquire(store, id);
  const evaluated = { type: "evaluated" as const, message: "Evaluated.", step: 1, data: null };
  await lease.report(1, progressAt(1), [evaluated], []);
  await checkpoint(lease, 2);
  expect(await lease.fallBack(2)).toBe("done");
  await lease.report(2, progressAt(1), [evaluated], []);
  const reported = ["created", "started", "evaluated", "checkpoint_committed", "checkpoint_damaged", "evaluated"];
  expect((await eventTypes(store, id)).filter((type) => type !== "events_omitted")).toEqual(reported);
});
