// Events that a run tells at its end are packed (src/store/events.ts).
import { expect, test } from "vitest";
import { keys } from "../../src/store/keys.ts";
import type { NewEvent } from "../../src/store/record.ts";
import { acquire, eventTypes, newJob, OWNER, postJob, progressAt, room } from "./support.ts";
import { MiB, redis, setUpStore, store, usage } from "./setup.ts";

setUpStore();

const evaluated = (step: number): NewEvent => ({
  type: "evaluated",
  message: `Evaluated after epoch ${step}.`,
  step,
  data: { epoch: step, metrics: { valid_loss: Math.exp(-step), 'with, "signs" and ü': -0.1 }, improved: true },
});
const failed: NewEvent = { type: "failed", message: "Failed.", step: 40, data: null };
const steps = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function end(options: Parameters<typeof newJob>[0], events: NewEvent[]): Promise<string> {
  const id = await postJob(store, { room: room(MiB), ...options });
  const lease = await acquire(store, id);
  await lease.report(1, progressAt(3), [1, 2, 3].map(evaluated), []);
  await lease.finish({ status: "failed", progress: null, events }, []);
  return id;
}

test("each event of the end has its id, its run and its time, on whatever page it comes", async () => {
  const diagnosed: NewEvent = { type: "diagnosed", message: "Plateau.", step: 20, data: null };
  const told = [...steps(4, 20).map(evaluated), diagnosed, ...steps(21, 40).map(evaluated), failed];
  const id = await end({}, told);
  // The job may tell more after its end.
  await store.outbox.undelivered(OWNER, id, "m", { type: "webhook_failed", message: "", step: null, data: null });
  expect(await redis.llen(`${keys.job(OWNER, id)}:events`)).toBe(10);
  const all = (await store.jobs.events(OWNER, id, { limit: 1000 }))!.data;
  expect(all.map((event) => event.id)).toEqual(steps(1, 45).map(String));
  expect(all.slice(2, -1)).toMatchObject([...steps(1, 3).map(evaluated), ...told]);
  expect(
    all.slice(1).every(({ run, created_at }) => run === 1 && created_at === new Date(created_at).toISOString()),
  ).toBe(true);
  for (const limit of [1, 2, 7, 44]) {
    const paged: typeof all = [];
    for (let after: string | null | undefined; after !== null;) {
      const page = (await store.jobs.events(OWNER, id, { limit, after }))!;
      expect(page.data.length).toBe(Math.min(limit, all.length - paged.length));
      paged.push(...page.data);
      after = page.next;
    }
    expect(paged).toEqual(all);
  }
  expect((await store.jobs.events(OWNER, id, { limit: 5, after: "45" }))!).toMatchObject({ data: [], has_more: false });
  const counted = Number((await usage()).checkpoint_bytes);
  await store.jobs.remove(OWNER, id);
  expect(counted).toBeGreaterThan(2000);
  expect(await redis.keys(`*${id}*`)).toEqual([]);
});

test("of too many events of the end the first are kept", async () => {
  const limits = { ...room(MiB), eventLimits: { evaluated: 10 } };
  const id = await end({ room: limits }, [...steps(4, 40).map(evaluated), failed]);
  const { data } = (await store.jobs.events(OWNER, id, { limit: 100 }))!;
  expect(data.filter(({ type }) => type === "evaluated")).toMatchObject(steps(1, 10).map(evaluated));
  expect((await eventTypes(store, id)).slice(-2)).toEqual(["events_omitted", "failed"]);
  expect(data.map((event) => event.id)).toEqual(steps(1, 14).map(String));
});

test("a webhook gets each event that it wants, and its messages count as if they came alone", async () => {
  const spec = { ...newJob().spec, webhook: { url: "http://x", events: ["evaluated"], secret: null } };
  const id = await end(
    { spec: spec as unknown as ReturnType<typeof newJob>["spec"], room: { ...room(MiB), messageBytes: 100 } },
    [...steps(4, 40).map(evaluated), failed],
  );
  const sent: string[] = [];
  const messages = `${keys.job(OWNER, id)}:messages`;
  expect(await redis.hlen(messages)).toBe(40);
  await store.outbox.forward(async ({ told }) => {
    if (!("job" in told)) throw new Error("a study tells nothing here");
    const { event } = told;
    expect(event).toMatchObject(evaluated(event.step!));
    sent.push(event.id);
    await store.outbox.settled(OWNER, id, `${id}-${event.id}`);
  });
  expect(sent.sort((a, b) => Number(a) - Number(b))).toEqual(steps(3, 42).map(String));
  expect(await redis.exists(messages)).toBe(0);
});
