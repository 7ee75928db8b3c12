// Studies tell webhooks of their events, as jobs do.
import { expect, test } from "vitest";
import type { StudySettings } from "../../src/store/studies.ts";
import { hook, open, quiet, received, receiver, start, store } from "./support.ts";

type Wanted = NonNullable<StudySettings["webhook"]>["events"];

async function study(events: Wanted = ["succeeded", "failed", "cancelled"], url = hook()): Promise<string> {
  const settings: StudySettings = {
    name: "search",
    spec: { model: "long" },
    space: { "/optimizer/lr": { uniform: [0, 1] } },
    objective: "valid_loss",
    direction: "minimize",
    sampler: { type: "random" },
    pruner: { type: "none" },
    trials: 3,
    parallel: 1,
    seeds: 1,
    seed: 0,
    timeout: null,
    epochs: 1,
    webhook: { url, events },
  };
  const id = `study_${await store.newUlid()}`;
  const rest = { datasetIds: [], firstJob: `job_${await store.newUlid()}`, trialText: 100, idempotency: null };
  await store.studies.create({ id, owner: "ann", settings, ...rest });
  return id;
}

async function change(id: string, to: "paused" | "running" | "cancelled") {
  const type = to === "running" ? "resumed" : to;
  const event = { type, message: "It changed.", data: null } as const;
  await store.studies.change("ann", id, { to, from: ["running", "paused"], event });
}

test("the events that a study's webhook wants are sent, without the spec", async () => {
  start();
  const id = await study();
  await change(id, "paused");
  await change(id, "cancelled");
  const [message] = await received(1);
  expect(message.headers["webhook-id"]).toBe(`${id}-3`);
  const body = JSON.parse(message.body);
  expect(body).toMatchObject({
    type: "study.cancelled",
    data: { event: { id: "3", type: "cancelled" }, study: { id, name: "search", status: "cancelled" } },
  });
  expect(body.timestamp).toBe(body.data.event.created_at);
  expect(body.data.study).not.toHaveProperty("spec");
  expect(body.data.study).not.toHaveProperty("space");
  await quiet();
  expect(receiver.received).toHaveLength(1);
});

test("a study is told of a message that is given up", async () => {
  start({ scheduleMs: [20] });
  receiver.answer((response) => response.writeHead(500).end());
  const id = await study(["paused"]);
  await change(id, "paused");
  const events = async () => (await store.studies.events("ann", id, { limit: 10 }))!.data;
  await expect
    .poll(async () => (await events()).at(-1), { timeout: 10_000 })
    .toMatchObject({
      type: "webhook_failed",
      data: { webhook_id: `${id}-2`, attempts: 2, reason: "the receiver answered 500" },
    });
  expect(await events()).toHaveLength(3);
});

test("after a 410, and when the study is deleted, nothing more is sent", async () => {
  start();
  receiver.answer((response) => response.writeHead(410).end());
  const id = await study(["paused", "resumed"]);
  await change(id, "paused");
  await expect
    .poll(async () => (await store.studies.events("ann", id, { limit: 10 }))!.data.at(-1)!.type)
    .toBe("webhook_failed");
  await change(id, "running");
  await Promise.all(open.splice(0).map((webhooks) => webhooks.close(5000)));
  const other = await study();
  await change(other, "cancelled");
  await store.studies.remove("ann", other);
  start();
  await quiet();
  expect(receiver.received).toHaveLength(1);
});
