// Jobs that a real worker trained, and what is asked of them over HTTP.
import { expect } from "vitest";
import type { Job } from "../../src/contract/wire/job.ts";
import type { Predictions } from "../../src/contract/wire/prediction.ts";
import { ended, startProcess } from "../worker/support.ts";
import { startService } from "./service.ts";

const colours = ["red", "green", "blue"];
export const ROWS = Array.from({ length: 60 }, (_, i) => ({
  x: Math.round(1e4 * Math.sin(i)) / 1e4,
  when: new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10),
  colour: colours[(i * 7) % 3],
  old: (i * 5) % 4 === 0 ? "yes" : "no",
  label: ["cat", "dog", "emu"][i % 3],
  flag: Number(i % 2 === 0),
  price: i / 8,
  weight: 3 - (i % 7),
}));
export const features = ["x", "when", "colour", "old"];
export type Row = Record<string, unknown>;
/** The rows that validate. */
export const VALID = ROWS.filter((_, i) => i % 5 === 0);

export function csvOf(rows: readonly Row[], separator = ","): string {
  const names = Object.keys(rows[0]);
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => cells.join(separator)).join("\n");
}

export const linear = (outputs?: number) => ({ type: "linear", out_features: outputs });

export const field = (predictions: Predictions["predictions"], name: string) =>
  predictions.map((prediction) => (prediction as Row)[name]);

/** A service with a worker. */
export async function startTraining() {
  const service = await startService();
  const start = () => startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
  let worker = await start();

  async function trained(changes: Record<string, unknown>): Promise<Job> {
    const spec = {
      model: { layers: [linear(8), { type: "dropout" }, { type: "batch_norm1d" }, linear()] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "adam", lr: 0.01 },
      training: { epochs: 3, batch_size: 16 },
      ...changes,
    };
    const { id } = await service.create(spec);
    for (;;) {
      const job = (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
      if (job.status === "failed") throw new Error(JSON.stringify(job.error));
      if (ended(job)) return job;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  const ask = (id: string, body: unknown) => service.call("POST", `/v1/jobs/${id}/predict`, { body });

  const askCsv = (id: string, body: string) =>
    service.call("POST", `/v1/jobs/${id}/predict`, { body, headers: { "content-type": "text/csv" } });

  async function predict(id: string, body: unknown): Promise<Predictions> {
    const answer = await ask(id, body);
    expect(answer.status, answer.text).toBe(200);
    return answer.body as Predictions;
  }

  /** Jobs wait from now on until `goOn`. */
  async function pause(): Promise<void> {
    worker.kill("SIGTERM");
    await worker.exited;
  }

  async function goOn(): Promise<void> {
    worker = await start();
  }

  async function stop(): Promise<void> {
    worker.kill("SIGKILL");
    await worker.exited;
    await service.stop();
  }
  return { service, trained, ask, askCsv, predict, pause, goOn, stop };
}
