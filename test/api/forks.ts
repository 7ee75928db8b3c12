// A service with a worker for the tests of forks, and jobs to fork.
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { Checkpoint } from "../../src/contract/wire/checkpoint.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { specFor, startService, type Service } from "./service.ts";

/** Each fork reserves room for all checkpoints that it may keep, and the forks here keep many. */
export const MAX_BYTES = 2 ** 30;

/** Training takes a second or so. */
export const layers = [
  { type: "linear", out_features: 256 },
  { type: "relu" },
  { type: "linear", out_features: 256 },
  { type: "relu" },
  { type: "linear" },
];
export const training = { epochs: 50, batch_size: 8, seed: 5 };
/** Of 300 rows every fifth is for validation. */
export const STEPS_PER_EPOCH = 30;

/** The part of its steps that a job has made at most when it counts as being in the middle. */
const MIDDLE = 0.8;

/** Starts a service and a worker for the tests of the file, and stops them after the last one. */
export function useForks(): Forks {
  const forks = new Forks();
  beforeAll(() => forks.start());
  // The jobs of all tests together would fill the Redis of the tests.
  afterEach(() => forks.deleteJobs());
  afterAll(() => forks.stop());
  return forks;
}

class Forks {
  service!: Service;
  redis!: Redis;
  dataset!: string;
  worker!: WorkerProcess;

  async start(): Promise<void> {
    this.service = await startService();
    this.redis = this.service.redis.client();
    await this.redis.config("SET", "maxmemory", MAX_BYTES);
    const rows = Array.from(
      { length: 300 },
      (_, i) => `${Math.sin(i)},${(i * 7) % 11},${["cat", "dog", "emu"][i % 3]}`,
    );
    this.dataset = (await this.service.upload(["x,y,label", ...rows].join("\n"))).id;
    this.worker = await this.startWorker();
  }

  startWorker(env: Record<string, string> = {}): Promise<WorkerProcess> {
    return startProcess({ REDIS_URL: this.service.redis.url, DATA_DIR: this.service.directory, ...env });
  }

  async deleteJobs(): Promise<void> {
    const { data } = (await this.service.call("GET", "/v1/jobs?limit=100")).body as { data: Job[] };
    for (const { id } of data) {
      await this.service.call("POST", `/v1/jobs/${id}/cancel`);
      await this.until(id, ended);
      await this.service.call("DELETE", `/v1/jobs/${id}`);
    }
  }

  async stop(): Promise<void> {
    this.worker.kill("SIGKILL");
    await this.worker.exited;
    await this.service.stop();
  }

  readonly spec = (changes: Record<string, unknown> = {}) =>
    specFor(this.dataset, {
      model: { layers },
      training,
      checkpoint: { every_steps: 100, every_seconds: null, keep_last: 100, keep_best: true },
      ...changes,
    });

  readonly post = (id: string, body: unknown, headers: Record<string, string> = {}) =>
    this.service.call("POST", `/v1/jobs/${id}/fork`, { body, headers });

  readonly fork = async (id: string, body: unknown): Promise<Job> => {
    const response = await this.post(id, body);
    expect(response.status, response.text).toBe(201);
    expect(response.headers.location).toBe(`/v1/jobs/${response.body.id}`);
    return response.body;
  };

  readonly until = async (id: string, condition: (job: Job) => boolean): Promise<Job> => {
    const get = async () => (await this.service.call("GET", `/v1/jobs/${id}`)).body as Job;
    await expect.poll(async () => condition(await get()), { timeout: 30_000, interval: 20 }).toBe(true);
    return await get();
  };

  readonly series = async (id: string) => (await this.service.call("GET", `/v1/jobs/${id}/metrics`)).body.series;

  /**
   * A paused job with checkpoints. On a busy machine a job may end, or nearly end, before it can be
   * paused.
   */
  readonly pausedInTheMiddle = async (changes: Record<string, unknown>): Promise<string> => {
    for (;;) {
      const { id } = await this.service.create(this.spec(changes));
      await this.until(id, (job) => (job.progress.last_checkpoint_step ?? 0) >= 300);
      await this.service.call("POST", `/v1/jobs/${id}/pause`);
      const { status, progress } = await this.until(id, (job) => job.status === "paused" || ended(job));
      // A fork of one that was nearly at its end has no time for what is expected of it.
      if (status === "paused" && progress.last_checkpoint_step! <= MIDDLE * progress.total_steps) return id;
      await this.service.call("POST", `/v1/jobs/${id}/cancel`);
    }
  };

  /** A job that has ended, and a paused twin that still has its checkpoints up to the middle. */
  readonly trained = async (
    changes: Record<string, unknown> = {},
  ): Promise<{ parent: Job; paused: string; steps: number[] }> => {
    const paused = await this.pausedInTheMiddle(changes);
    const { id } = await this.service.create(this.spec(changes));
    const parent = await this.until(id, ended);
    expect(parent.status).toBe("succeeded");
    const { data } = (await this.service.call("GET", `/v1/jobs/${paused}/checkpoints`)).body as { data: Checkpoint[] };
    return { parent, paused, steps: data.map(({ step }) => step) };
  };
}
