// The api under load, as real processes. It measures the latency of polls for progress while every
// core trains, the number of polls per second compared with a Fastify route that does nothing, the
// memory of open streams, and how long an owner's job waits behind a hundred of another owner.
import { readFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { availableParallelism, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type SpecInput } from "../src/client/client.ts";
import { Processes } from "./processes.ts";
import { median } from "./statistics.ts";

const POLLS_PER_SECOND = 200;
const POLL_SECONDS = 20;
const CONNECTIONS = 32;
const ROUNDS = 5;
const ROUND_SECONDS = 3;
const STREAMS = 1000;
const WAITING_JOBS = 100;

async function uploadDigits(client: Client): Promise<string> {
  const csv = await readFile(new URL("../examples/digits.csv", import.meta.url));
  return (await client.createDataset(csv)).id;
}

function specOf(dataset: string, width: number, epochs: number): SpecInput {
  return {
    data: { dataset, target: "target", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: width }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs, batch_size: 256 },
    resources: { threads: availableParallelism() },
  };
}

/** A job that keeps all cores busy for longer than each measurement takes. */
async function train(client: Client): Promise<string> {
  const { id } = await client.createJob(specOf(await uploadDigits(client), 512, 100_000));
  while ((await client.getProgress(id)).step === 0) await sleep(100);
  return id;
}

/** Milliseconds from the planned time of each request to its answer. */
async function poll(url: string): Promise<number[]> {
  const agent = new Agent({ keepAlive: true });
  const began = performance.now();
  const answers = Array.from({ length: POLLS_PER_SECOND * POLL_SECONDS }, async (_, i) => {
    const due = began + (i * 1000) / POLLS_PER_SECOND;
    await sleep(Math.max(0, due - performance.now()));
    await new Promise<void>((resolve, reject) => {
      get(url, { agent }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`it answered ${response.statusCode}`));
        response.resume().once("end", resolve);
      }).once("error", reject);
    });
    return performance.now() - due;
  });
  const latencies = await Promise.all(answers);
  agent.destroy();
  return latencies.sort((a, b) => a - b);
}

/**
 * Answers per second to clients that each send the next request as soon as they have an answer.
 */
async function saturate(url: string): Promise<number> {
  const { hostname, port, pathname } = new URL(url);
  const request = `GET ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`;
  let answers = 0;
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    const socket = connect(Number(port), hostname, () => socket.write(request));
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      const head = text.indexOf("\r\n\r\n");
      const length = /content-length: (\d+)/i.exec(text)?.[1];
      if (head < 0 || text.length < head + 4 + Number(length)) return;
      if (!text.startsWith("HTTP/1.1 200")) throw new Error(text.slice(0, 200));
      text = "";
      answers++;
      socket.write(request);
    });
    return socket;
  });
  await sleep(ROUND_SECONDS * 1000);
  for (const socket of sockets) socket.destroy();
  return answers / ROUND_SECONDS;
}

/**
 * MiB by which the process grows while this many streams of a job's events are open and have sent
 * all events so far.
 */
async function streams(url: string, processId: number): Promise<number> {
  const before = await residentMiB(processId);
  const agent = new Agent({ maxSockets: STREAMS });
  const open = Array.from(
    { length: STREAMS },
    () =>
      new Promise<void>((resolve, reject) => {
        const headers = { accept: "text/event-stream" };
        get(url, { agent, headers }, (response) => {
          if (response.statusCode !== 200) reject(new Error(`it answered ${response.statusCode}`));
          response.once("data", () => resolve()).once("error", () => undefined);
        }).once("error", reject);
      }),
  );
  await Promise.all(open);
  await sleep(2000);
  const grown = (await residentMiB(processId)) - before;
  agent.destroy();
  return grown;
}

async function residentMiB(processId: number): Promise<number> {
  const status = await readFile(`/proc/${processId}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

/**
 * Seconds until the first job of a second owner begins, behind a hundred jobs of a first owner.
 */
async function secondOwner(first: Client, second: Client): Promise<number> {
  const [dataset, own] = [await uploadDigits(first), await uploadDigits(second)];
  for (let i = 0; i < WAITING_JOBS; i++) await first.createJob(specOf(dataset, 64, 20));
  const { id } = await second.createJob(specOf(own, 64, 20));
  for (;;) {
    const { created_at: created, started_at: started } = await second.getJob(id);
    if (started !== null) return (Date.parse(started) - Date.parse(created)) / 1000;
    await sleep(20);
  }
}

export async function benchApi(): Promise<void> {
  await using processes = await Processes.create();
  const service = await processes.start(["src/main.ts"]);
  const client = new Client({ url: service.address });
  const job = await train(client);
  const progress = `${service.address}/v1/jobs/${job}/progress`;
  const latencies = await poll(progress);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)].toFixed(1);
  console.log(
    `${POLLS_PER_SECOND} polls/s while ${availableParallelism()} cores train: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  );
  const grown = await streams(`${service.address}/v1/jobs/${job}/events`, service.pid);
  console.log(`${STREAMS} open streams: ${grown.toFixed(0)} MiB`);
  await client.cancelJob(job);

  const bytes = (await (await fetch(progress)).arrayBuffer()).byteLength;
  const { address: bare } = await processes.start(["bench/bare.ts", String(bytes)]);
  const rates: Record<string, number[]> = { [progress]: [], [bare]: [] };
  for (let round = 0; round < ROUNDS; round++) for (const url of [progress, bare]) rates[url].push(await saturate(url));
  const [polls, nothing] = [progress, bare].map((url) => Math.round(median(rates[url])));
  console.log(`${CONNECTIONS} connections: ${polls} polls/s; a bare route of ${bytes} bytes ${nothing}/s`);

  const { address: url } = await processes.start(["src/main.ts"], { RAPPEL_API_KEYS: "first:one,second:two" });
  const waited = await secondOwner(new Client({ url, key: "one" }), new Client({ url, key: "two" }));
  console.log(`the first job of a second owner behind ${WAITING_JOBS} of the first: ${waited.toFixed(2)} s`);
  console.log(`load of the machine: ${loadavg()[0].toFixed(1)}`);
}
