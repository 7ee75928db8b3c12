// Predictions while every core trains: the latency of requests of one row at a steady rate, how
// much slower the training becomes meanwhile, and how long the largest request takes.
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { availableParallelism, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type SpecInput } from "../src/client/client.ts";
import { RequestRefused } from "../src/client/errors.ts";
import { Processes } from "./processes.ts";
import { finish } from "./report.ts";
import { median } from "./statistics.ts";

const REQUESTS_PER_SECOND = 200;
const SECONDS = 20;
const ROWS = 10_000;
const ROUNDS = 5;

const conv = (channels: number) => ({ type: "conv2d", out_channels: channels, kernel_size: 3, padding: "same" });
const pool = { type: "max_pool2d", kernel_size: 2 };

/** The convolutional net of examples/digits-cnn.json, on the columns of a table. */
function specOf(dataset: string, epochs: number): SpecInput {
  const layers = [conv(16), { type: "relu" }, pool, conv(32), { type: "relu" }, pool, { type: "flatten" }];
  return {
    data: { dataset, target: "target", shape: [1, 8, 8], validation: { every: 5 } },
    model: { layers: [...layers, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam", lr: 0.005 },
    training: { epochs, batch_size: 64 },
    resources: { threads: availableParallelism() },
  };
}

async function trained(client: Client, dataset: string): Promise<string> {
  const { id } = await client.createJob(specOf(dataset, 3));
  for await (const { status } of client.watch(id)) if (status === "failed") throw new Error("the job failed");
  return id;
}

/**
 * Milliseconds from the planned time of each request to the end of its answer, and the number of
 * requests that were refused because too many waited.
 */
async function predictAtRate(url: string, body: string): Promise<{ latencies: number[]; refused: number }> {
  const agent = new Agent({ keepAlive: true });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  let refused = 0;
  const began = performance.now();
  const answers = Array.from({ length: REQUESTS_PER_SECOND * SECONDS }, async (_, i) => {
    const due = began + (i * 1000) / REQUESTS_PER_SECOND;
    await sleep(Math.max(0, due - performance.now()));
    await new Promise<void>((resolve, reject) => {
      const sent = request(url, { agent, method: "POST", headers }, (response) => {
        if (response.statusCode === 503) refused++;
        else if (response.statusCode !== 200) reject(new Error(`it answered ${response.statusCode}`));
        response.resume().once("end", resolve);
      });
      sent.once("error", reject).end(body);
    });
    return performance.now() - due;
  });
  const latencies = await Promise.all(answers);
  agent.destroy();
  return { latencies: latencies.sort((a, b) => a - b), refused };
}

/** Steps per second of a job that runs, while something else happens. */
async function speedDuring<T>(client: Client, job: string, work: () => Promise<T>): Promise<[number, T]> {
  const [before, began] = [(await client.getProgress(job)).step, performance.now()];
  const result = await work();
  const { step } = await client.getProgress(job);
  return [(1000 * (step - before)) / (performance.now() - began), result];
}

function isRefusal(error: unknown): true {
  if (error instanceof RequestRefused && [422, 503].includes(error.status)) return true;
  throw error;
}

export async function benchPredict(): Promise<void> {
  await using processes = await Processes.create();
  const { address: url } = await processes.start(["src/main.ts"]);
  const client = new Client({ url });
  const csv = await readFile(new URL("../examples/digits.csv", import.meta.url), "utf8");
  const dataset = (await client.createDataset(csv)).id;
  const id = await trained(client, dataset);
  const [header, ...lines] = csv.trim().split("\n");
  const cells = lines[0].split(",").map(Number);
  const row = Object.fromEntries(header.split(",").map((name, i) => [name, cells[i]]));
  await client.predict(id, { rows: [row] });

  const busy = await client.createJob(specOf(dataset, 100_000));
  while ((await client.getProgress(busy.id)).step === 0) await sleep(100);
  const [alone] = await speedDuring(client, busy.id, () => sleep(SECONDS * 1000));
  const path = `${url}/v1/jobs/${id}/predict`;
  const [beside, { latencies, refused }] = await speedDuring(client, busy.id, () =>
    predictAtRate(path, JSON.stringify({ rows: [row] })),
  );
  const table = [header, ...Array.from({ length: ROWS }, (_, i) => lines[i % lines.length])].join("\n");
  const whole: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    // A machine with other work may take longer than a request may.
    const refused = await client.predict(id, table).then(() => false, isRefusal);
    if (!refused) whole.push(performance.now() - began);
  }
  await client.cancelJob(busy.id);

  const at = (share: number) => Number(latencies[Math.floor(latencies.length * share)].toFixed(1));
  const slower = Number((100 * (1 - beside / alone)).toFixed(1));
  console.log(
    `${REQUESTS_PER_SECOND} requests/s of one row while ${availableParallelism()} cores train: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${refused} refused`,
  );
  console.log(`steps per second: ${alone.toFixed(0)} alone, ${beside.toFixed(0)} beside (${slower} % fewer)`);
  console.log(
    `${ROWS} rows in one request: ${median(whole).toFixed(0)} ms, ${ROUNDS - whole.length} of ${ROUNDS} refused`,
  );
  console.log(`load of the machine: ${loadavg()[0].toFixed(1)}`);
  finish("predict", [
    { what: "one row", p50_ms: at(0.5), p99_ms: at(0.99), refused, slower_percent: slower },
    { what: `${ROWS} rows`, ms: Math.round(median(whole)), refused: ROUNDS - whole.length },
  ]);
}
