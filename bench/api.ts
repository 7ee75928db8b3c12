// The api under load, as real processes: polls of a job's progress while every core trains, and as many polls as it can answer, beside a Fastify route
// that does nothing.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "../src/client/client.ts";
import { median } from "./statistics.ts";

const POLLS_PER_SECOND = 200;
const POLL_SECONDS = 20;
const CONNECTIONS = 32;
const ROUNDS = 5;
const ROUND_SECONDS = 3;

/** Starts a program of this repository, and returns the address that its "ready" line tells. */
async function start(args: string[], env: NodeJS.ProcessEnv, children: ChildProcess[]): Promise<string> {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { msg, address } = JSON.parse(line) as { msg: string; address: string };
      if (msg === "ready") resolve(address);
    });
    child.once("exit", () => reject(new Error(`${args[0]} ended before it was ready`)));
  });
}

/** A job that keeps all cores busy for longer than the polls take. */
async function train(client: Client): Promise<string> {
  const csv = await readFile(new URL("../examples/digits.csv", import.meta.url));
  const { id: dataset } = await client.createDataset(csv);
  const { id } = await client.createJob({
    data: { dataset, target: "target", validation: { every: 5 } },
    model: { layers: [{ type: "linear", out_features: 512 }, { type: "relu" }, { type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 100_000, batch_size: 256 },
    resources: { threads: availableParallelism() },
  });
  while ((await client.getProgress(id)).step === 0) await sleep(100);
  return id;
}

/** Milliseconds from when each request was due to its answer. */
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

/** Answers a second to clients of which each sends its next request once it has its answer. */
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

export async function benchApi(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "rappel-bench-"));
  const children: ChildProcess[] = [];
  try {
    const env = { ...process.env, RAPPEL_DATA_DIR: directory, RAPPEL_PORT: "0", RAPPEL_LOG_LEVEL: "warn" };
    const service = await start(["src/main.ts"], env, children);
    const client = new Client({ url: service });
    const job = await train(client);
    const progress = `${service}/v1/jobs/${job}/progress`;
    const latencies = await poll(progress);
    const at = (share: number) => latencies[Math.floor(latencies.length * share)].toFixed(1);
    console.log(
      `${POLLS_PER_SECOND} polls/s while ${availableParallelism()} cores train: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
    );
    await client.cancelJob(job);

    const bytes = (await (await fetch(progress)).arrayBuffer()).byteLength;
    const bare = await start(["bench/bare.ts", String(bytes)], process.env, children);
    const rates: Record<string, number[]> = { [progress]: [], [bare]: [] };
    for (let round = 0; round < ROUNDS; round++)
      for (const url of [progress, bare]) rates[url].push(await saturate(url));
    const [polls, nothing] = [progress, bare].map((url) => Math.round(median(rates[url])));
    console.log(`${CONNECTIONS} connections: ${polls} polls/s; a bare route of ${bytes} bytes ${nothing}/s`);
    console.log(`load of the machine: ${loadavg()[0].toFixed(1)}`);
  } finally {
    for (const child of children) {
      if (child.exitCode !== null) continue;
      child.kill();
      await once(child, "exit");
    }
    await rm(directory, { recursive: true });
  }
}
