/**
 * Today's service on a copy of what an earlier version left when it was killed. A fixture of
 * test/fixtures/upgrade has the data directories, and what that version answered and ended with.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { ARITHMETIC_VERSION } from "../../src/engine/kernels/kernels.ts";
import { Client, type Answers, type JobAnswer } from "../fixtures/upgrade/client.ts";
import { receiver, secrets } from "../fixtures/upgrade/jobs.ts";
import { cacheDirectory } from "../support/redis.ts";
import { startService, type ServiceProcess } from "../support/service.ts";

interface Expected {
  /** By name. */
  readonly datasets: Record<string, { owner: string; id: string }>;
  readonly jobs: Record<string, { owner: string; id: string; body: object; key: string | null }>;
  /** What the earlier version answered before it was killed. */
  readonly answers: Record<string, Answers>;
  /** What it made of a copy. */
  readonly results: Record<string, { status: string; result: { weights_sha256: string } | null }>;
}

export class Upgraded {
  readonly directory = mkdtempSync(join(tmpdir(), "rappel-upgraded-"));
  readonly expected: Expected;
  /** Of its API. */
  client!: Client;
  redis!: string;
  #address!: string;
  readonly #services: ServiceProcess[] = [];

  /** Starts the API. `fixture` is the name of an archive. */
  static async start(fixture: string): Promise<Upgraded> {
    const upgraded = new Upgraded(fixture);
    await upgraded.#startApi();
    return upgraded;
  }

  private constructor(fixture: string) {
    const archive = fileURLToPath(new URL(`../fixtures/upgrade/${fixture}.tgz`, import.meta.url));
    execFileSync("tar", ["-C", this.directory, "--no-same-owner", "-xzf", archive]);
    this.expected = JSON.parse(readFileSync(join(this.directory, "expected.json"), "utf8")) as Expected;
    for (const role of ["api", "worker"]) symlinkSync(cacheDirectory(), join(this.directory, role, "tools"));
  }

  async #startApi(): Promise<void> {
    const keys = Object.entries(secrets).map(([owner, secret]) => `${owner}:${secret}`);
    writeFileSync(join(this.directory, "keys"), keys.join("\n"), { mode: 0o600 });
    const api = await this.#start("api", {
      RAPPEL_API_KEYS_FILE: join(this.directory, "keys"),
      RAPPEL_WEBHOOK_SECRETS: `ann:whsec_${Buffer.alloc(32, 7).toString("base64")}`,
      RAPPEL_WEBHOOK_ALLOW: receiver.host,
      // The fixture is as old as it is.
      RAPPEL_KEEP_JOBS_DAYS: "36500",
    });
    const { address, redis } = await api.ready;
    this.#address = address!;
    this.redis = redis;
    this.client = new Client(this.#address);
  }

  async startWorker(): Promise<void> {
    await this.#start("worker", { REDIS_URL: this.redis, RAPPEL_API_URL: this.#address, RAPPEL_JOBS: "4" });
  }

  async #start(role: "api" | "worker", env: NodeJS.ProcessEnv): Promise<ServiceProcess> {
    const data = join(this.directory, role);
    const service = await startService({ args: ["--role", role], env: { RAPPEL_DATA_DIR: data, ...env } });
    this.#services.push(service);
    await service.ready;
    return service;
  }

  async stop(): Promise<void> {
    for (const service of this.#services.toReversed()) await service.stop();
    rmSync(this.directory, { recursive: true });
  }

  async job(name: string): Promise<JobAnswer> {
    const { owner, id } = this.expected.jobs[name];
    return await this.client.job(owner, id);
  }

  async untilEnded(owner: string, id: string): Promise<JobAnswer> {
    const ended = ({ status }: JobAnswer) => ["succeeded", "failed", "cancelled"].includes(status);
    await expect
      .poll(async () => ended(await this.client.job(owner, id)), { timeout: 60_000, interval: 50 })
      .toBe(true);
    return await this.client.job(owner, id);
  }

  /** Makes a fork of one of ann's jobs, and waits for its end. */
  async fork(name: string, body: object): Promise<JobAnswer> {
    const { id } = await this.client.post("ann", `/v1/jobs/${this.expected.jobs[name].id}/fork`, body);
    return await this.untilEnded("ann", id);
  }

  /** What can be read of jobs is what it was. */
  async expectSameAnswers(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const { owner, id } = this.expected.jobs[name];
      expect({ name, ...(await this.client.answers(owner, id)) }).toMatchObject({
        name,
        ...withoutText(this.expected.answers[name]),
      });
    }
  }

  /** Each job ends with the bytes that the earlier version ended with. */
  async expectSameEnds(): Promise<void> {
    const { jobs, answers, results } = this.expected;
    for (const name of ["paused", "paused-unbegun", "pausing"].filter((one) => one in jobs)) {
      await expect.poll(async () => (await this.job(name)).status, { timeout: 20_000 }).toBe("paused");
      await this.client.post("ann", `/v1/jobs/${jobs[name].id}/resume`);
    }
    for (const [name, { status, result }] of Object.entries(results)) {
      const { owner, id } = jobs[name];
      const found = await this.untilEnded(owner, id);
      const before = answers[name][""].body as JobAnswer;
      const events = (await this.client.get(owner, `/v1/jobs/${id}/events?limit=100`)).data as { type: string }[];
      const types = events.map(({ type }) => type);
      expect({ name, status: found.status }).toEqual({ name, status });
      expect({ name, ...found.result }).toMatchObject({ name, ...result });
      const begun = before.run > 0 && found.run > before.run;
      const changed = begun && before.arithmetic_version !== ARITHMETIC_VERSION;
      expect({ name, reported: types.includes("arithmetic_changed") }).toEqual({ name, reported: changed });
    }
  }
}

/** Everything that was answered, except for prose, which may become better, and its hash. */
function withoutText(answers: Answers): Answers {
  const bodies = Object.entries(answers).map(([path, { sha256, ...answer }]) => {
    if (!("body" in answer)) return [path, { ...answer, ...(sha256 === undefined ? {} : { sha256 }) }];
    const { summary: _, ...body } = answer.body as Record<string, unknown>;
    return [path, { ...answer, body }];
  });
  return Object.fromEntries(bodies) as Answers;
}
