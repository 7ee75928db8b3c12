/** Studies for tests, and a worker without arithmetic that ends their jobs in any order. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Study, Trial } from "../../src/contract/wire/study.ts";
import type { ResolvedSpec } from "../../src/contract/schema/spec.ts";
import { acquire, OWNER } from "../store/support.ts";
import type { Service } from "./service.ts";

export async function until<T>(look: () => Promise<T>, is: (found: T) => boolean): Promise<T> {
  for (;;) {
    const found = await look();
    if (is(found)) return found;
    await sleep(10);
  }
}

export async function study(service: Service, body: object): Promise<Study> {
  const response = await service.call("POST", "/v1/studies", { body });
  if (response.status !== 201) throw new Error(response.text);
  return response.body as Study;
}

export async function read(service: Service, id: string): Promise<Study> {
  return (await service.call("GET", `/v1/studies/${id}`)).body as Study;
}

export async function over(service: Service, id: string): Promise<Study> {
  return await until(
    () => read(service, id),
    ({ finished_at }) => finished_at !== null,
  );
}

export async function trialsOf(service: Service, id: string): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (let after = ""; ;) {
    const { body } = await service.call("GET", `/v1/studies/${id}/trials?limit=100${after}`);
    trials.push(...(body.data as Trial[]));
    if (!body.has_more) return trials;
    after = `&after=${body.next}`;
  }
}

/** What is the same whatever ran the study. */
export function withoutJobs(trials: readonly Trial[]): Omit<Trial, "jobs">[] {
  return trials.map((trial) => {
    const { jobs: _, ...rest } = trial;
    return rest;
  });
}

type Order = (waiting: readonly string[]) => string;

/** In which order waiting jobs are ended; `waiting`: the newest first. */
export const orders = {
  "oldest first": (waiting) => waiting.at(-1)!,
  "newest first": (waiting) => waiting[0],
  "in no order": (waiting) => waiting[Number.parseInt(waiting[0].slice(-4), 32) % waiting.length || 0],
} satisfies Record<string, Order>;

/** Ends the jobs of studies as their specs say, one at a time, until the signal aborts. */
export async function endJobs({ store }: Pick<Service, "store">, pick: Order, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { data } = await store.jobs.list(OWNER, { limit: 100, statuses: ["queued"] });
    if (data.length === 0) {
      await sleep(2);
      continue;
    }
    const id = pick(data.map((job) => job.id));
    const { spec } = (await store.jobs.trainedOn(OWNER, id))!;
    const lease = await acquire(store, id, { leaseMs: 60_000, arithmeticVersion: 3 });
    await lease.finish(...endingOf(spec));
  }
}

type Ending = Parameters<Awaited<ReturnType<typeof acquire>>["finish"]>;

/** A rate of about 0.01 is best; one above 0.5 diverges. The loss halves with each epoch. */
function endingOf(spec: ResolvedSpec): [Ending[0], Ending[1]] {
  const { lr, momentum = 0 } = spec.optimizer as unknown as { lr: number; momentum?: number };
  const { epochs, seed, pruning } = spec.training;
  const rest = { progress: null, events: [] };
  if (lr > 0.5) {
    const error = { code: "diverged" as const, message: "It diverged.", suggestion: null, step: 1 };
    return [{ status: "failed", error, ...rest }, []];
  }
  const lossAt = (epoch: number) => Math.log10(lr / 0.01) ** 2 + (1 - momentum) + 2 ** -epoch + seed / 1000;
  const pruned = pruning?.rungs.find(({ epoch, value }) => value !== null && lossAt(epoch) > value)?.epoch;
  const last = pruned ?? epochs;
  // 20 rows, of which every fifth validates, in batches of 4.
  const rows = Array.from({ length: last }, (_, i) => ({ step: (i + 1) * 4, valid_loss: lossAt(i + 1) }));
  const result = {
    weights_sha256: createHash("sha256")
      .update(JSON.stringify([spec.optimizer, seed, last]))
      .digest("hex"),
    steps: last * 4,
    epochs: last,
    stop_reason: pruned === undefined ? ("completed" as const) : ("pruned" as const),
    metrics: { valid_loss: lossAt(last) },
    best: null,
    changes: [],
  };
  return [{ status: "succeeded", result, models: {}, ...rest }, rows];
}
