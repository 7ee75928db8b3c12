// A process that is killed while it trains on data of any kind: the job ends with the same bytes.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import { sentences } from "../support/language.ts";
import { ended, startProcess } from "../worker/support.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
/** The jobs of each kind: undisturbed, and killed. */
let calm: Record<string, Job>;
let killed: Record<string, Job>;

const get = async (id: string) => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
async function until(id: string, condition: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const job = await get(id);
    if (condition(job)) return job;
    await sleep(20);
  }
}

const worker = () => startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory, JOBS: "6" });

const rows = (count: number, cells: (row: number) => readonly (string | number)[]) =>
  Array.from({ length: count }, (_, row) => cells(row).join(",")).join("\n");
const table = rows(60, (row) => [Math.sin(row), "abc"[row % 3], (row * 7) % 5 < 2 ? "yes" : "no", 1 + (row % 4), row]);
const names = "x,kind,label,weight,time\n";
const pixels = Array.from({ length: 16 }, (_, i) => `p${i}`);

/** Jobs of many short steps, so that each has a checkpoint long before the first one ends. */
const spec = (data: object, layers: readonly object[], epochs: number, changes: object = {}) => ({
  data: { target: "label", validation: { every: 4 }, ...data },
  model: { layers: [...layers, { type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "adam", lr: 0.01 },
  training: { epochs, batch_size: 8, seed: 2, eval_every_epochs: 200 },
  checkpoint: { every_steps: 10, every_seconds: null },
  ...changes,
});

async function specs(): Promise<Record<string, ReturnType<typeof spec>>> {
  const upload = async (csv: string, headers = {}) => (await service.upload(csv, headers)).id;
  const plain = await upload(sentences(600), { "content-type": "text/plain" });
  const dataset = await upload(names + table);
  const images = await upload(
    `${pixels.join(",")},label\n${rows(60, (row) => [...pixels.map((_, i) => (row * i) % 7), row % 2 ? "a" : "b"])}`,
  );
  const texts = sentences(2500).split(/[.]\s/).slice(0, 60);
  const reviews = await upload(
    `text,label\n${rows(60, (row) => [texts[row], texts[row].length % 2 ? "odd" : "even"])}`,
  );
  const dense = [{ type: "linear", out_features: 8 }, { type: "relu" }];
  const read = (output: string) => [
    { type: "embedding", embedding_dim: 6 },
    { type: "lstm", hidden_size: 6, output },
  ];
  const characters = { context: 8, vocabulary: "characters" };
  const window = { order: "time", length: 4, stride: 1 };
  return {
    text: spec({ dataset: plain, target: "next_token", text: characters, validation: { tail: 0.2 } }, read("all"), 200),
    "texts in a column": spec({ dataset: reviews, features: ["text"], text: characters }, read("last"), 800),
    windows: spec(
      { dataset, target: "x", features: ["x"], window, validation: { tail: 0.2 } },
      [{ type: "gru", hidden_size: 6 }],
      400,
      { loss: { type: "mse" } },
    ),
    weights: spec({ dataset, weight: "weight", class_weight: "balanced" }, dense, 2000),
    augmentation: spec(
      {
        dataset: images,
        shape: [1, 4, 4],
        augment: { random_horizontal_flip: {}, random_crop: { padding: 1 }, gaussian_noise: {} },
      },
      [{ type: "conv2d", out_channels: 2, kernel_size: 3 }, { type: "flatten" }],
      1000,
    ),
  };
}

/** A fork on other data, with the encoders of its parent. */
async function fork(parent: Job): Promise<Job> {
  const other = await service.upload(names + table.replaceAll("0.", "3."));
  const overrides = { data: { dataset: other.id }, training: { epochs: 2000 } };
  const { status, body } = await service.call("POST", `/v1/jobs/${parent.id}/fork`, {
    body: { step: "final", optimizer: false, overrides },
  });
  expect(status, JSON.stringify(body)).toBe(201);
  expect((body as Job).spec.data.encoders_sha256).not.toBeNull();
  return body as Job;
}

beforeAll(async () => {
  service = await startService();
  const bodies = await specs();
  const create = async (of: Record<string, object>, threads: number) => {
    const jobs: Record<string, Job> = {};
    for (const [name, body] of Object.entries(of))
      jobs[name] = await service.create({ ...body, resources: { threads } });
    return jobs;
  };
  const end = async (jobs: Record<string, Job>) => {
    const all: Record<string, Job> = {};
    for (const [name, { id }] of Object.entries(jobs)) all[name] = await until(id, ended);
    return all;
  };
  const undisturbed = await worker();
  calm = await end(await create(bodies, 1));
  calm = { ...calm, ...(await end({ "inherited encoders": await fork(calm.weights) })) };
  undisturbed.kill("SIGKILL");
  await undisturbed.exited;

  killed = { ...(await create(bodies, 2)), "inherited encoders": await fork(calm.weights) };
  const dying = await worker();
  const hasCheckpoint = ({ status, progress }: Job) =>
    ended({ status } as Job) || progress.last_checkpoint_step !== null;
  for (const { id } of Object.values(killed)) await until(id, hasCheckpoint);
  dying.kill("SIGKILL");
  await dying.exited;
  const last = await worker();
  killed = await end(killed);
  last.kill("SIGKILL");
  await last.exited;
}, 300_000);
afterAll(() => service.stop());

test.each(["text", "texts in a column", "windows", "weights", "augmentation", "inherited encoders"])(
  "%s: killed and resumed, the same bytes",
  async (name) => {
    const { status, run, result } = killed[name];
    expect([status, run > 1]).toEqual(["succeeded", true]);
    expect(result).toEqual(calm[name].result);
    const { body } = await service.call("GET", `/v1/jobs/${killed[name].id}/events?limit=100`);
    const resumed = body.data.filter(({ type }: { type: string }) => type === "resumed");
    expect(resumed.length).toBeGreaterThan(0);
    expect(resumed[0].step).toBeGreaterThan(0);
  },
);
