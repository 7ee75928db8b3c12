/** What the routes that create jobs have in common. */
import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { canonicalJson } from "../contract/resolve/canonical.ts";
import { faulty, Problem } from "../contract/errors.ts";
import type { Fault } from "../contract/resolve/faults.ts";
import { datasetIds } from "../contract/facts.ts";
import type { Job } from "../contract/wire/job.ts";
import { hashSpec } from "../contract/resolve/identity.ts";
import type { ResolveContext, Resolved } from "../contract/resolve/resolve.ts";
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import { givenInit } from "../contract/schema/init.ts";
import { urlFault, type Webhook } from "../contract/schema/webhook.ts";
import type { Caller } from "../data/pool.ts";
import { originOf, type Created, type Fork, type NewJob, type Promised, type Replayed } from "../store/new-job.ts";
import { OverLimit } from "../store/errors.ts";
import type { IdempotencyUse } from "../store/idempotency.ts";
import { roomOf } from "../store/room.ts";
import { encoderSource } from "./encoders.ts";
import { initCheckpoint, uploadedWeights } from "./init.ts";
import { recordDataset, removeDataset } from "./datasets.ts";
import type { Services } from "./services.ts";
import { wakeWorker } from "./wake.ts";

export const idempotencyHeaders = z.looseObject({
  "idempotency-key": z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      "Posting again with the same key and body, however that is spelled, within 24 hours gives the first job again.",
    ),
});

/**
 * The use of an idempotency key for a body, in any spelling, and for the `path` to which it was
 * posted.
 */
export function idempotencyOf(
  key: string | undefined,
  { body, bodyText }: Pick<FastifyRequest, "body" | "bodyText">,
  ...path: string[]
): NewJob["idempotency"] {
  if (key === undefined) return null;
  const hash = (text: string) =>
    createHash("sha256")
      .update([...path, text].join("\n"))
      .digest("hex");
  return { key, bodySha256: hash(canonicalJson(body)), textSha256: hash(bodyText) };
}

export const keyMismatch = () =>
  new Problem("idempotency_mismatch", "This Idempotency-Key was used for another body; take a new one.");

/**
 * Answers what the key was used for before, if it was, and else what `create` does. The script that
 * creates a record looks at the key. Here it is looked at only if there is no new one: what was
 * accepted before may be refused now, for its dataset may be gone.
 */
export async function once<T extends { readonly outcome: string }>(
  records: { replay(owner: string, use: IdempotencyUse): Promise<T | null> },
  owner: string,
  use: IdempotencyUse | null,
  create: () => Promise<T>,
): Promise<T> {
  const earlier = async () => use && (await records.replay(owner, use));
  try {
    const created = await create();
    return created.outcome === "mismatch" ? ((await earlier()) ?? created) : created;
  } catch (error) {
    const known = await earlier();
    if (known === null) throw error;
    return known;
  }
}

export function resolveContext(services: ContextServices, reply: FastifyReply): ResolveContext {
  return contextFor(services, reply.request.owner, reply.caller());
}

type ContextServices = Pick<Services, "store" | "files" | "config">;

/** What a spec of this owner is resolved with. */
export function contextFor({ store, files, config }: ContextServices, owner: string, caller: Caller): ResolveContext {
  return {
    dataset: (id) => store.datasets.get(owner, id),
    encoders: (id) => encoderSource({ store, files }, owner, id),
    weights: (id) => uploadedWeights({ store, files }, owner, id),
    checkpoint: (id, step) => initCheckpoint(store, owner, id, step),
    files,
    caller,
    maxMemoryBytes: config.maxJobBytes,
    // Of Redis' memory 70 % are for checkpoints, and one is written while the last one is still
    // there.
    maxStateBytes: Math.min(config.maxStateBytes, Math.floor((0.7 * config.redisMaxBytes) / 2)),
    webhookFaults: (webhook) => webhookFaults(webhook, owner, config),
  };
}

/** `id`: the id that it gets; without it, a new one. */
interface Use extends Pick<NewJob, "idempotency"> {
  readonly id?: string | Promise<string>;
  readonly fork?: Fork | null;
}

/**
 * Records a job and wakes a worker. Afterwards rows that came with the spec are either kept or
 * removed.
 */
export async function createJob(
  services: Pick<Services, "store" | "files" | "queue" | "traceContext">,
  { owner, log }: Pick<FastifyRequest, "owner" | "log">,
  resolved: Resolved,
  use: Use,
): Promise<Created | Replayed> {
  const created = await record(services, owner, resolved, use);
  if (created.outcome === "created" && created.wake) await wakeWorker(services, log);
  return created;
}

export async function newJobId(store: Pick<Services["store"], "newUlid">): Promise<string> {
  return `job_${await store.newUlid()}`;
}

async function record(
  services: Pick<Services, "store" | "files" | "traceContext">,
  owner: string,
  resolved: Resolved,
  { id, idempotency, fork = null }: Use,
): Promise<Created | Replayed> {
  const { store } = services;
  const { start } = resolved;
  await assertRoomForSet(store, owner, resolved);
  const room = roomOf(resolved, originOf({ fork, start })?.bytes ?? 0);
  try {
    const job = { id: await (id ?? newJobId(store)), owner, room, start, idempotency, fork };
    // Before data of a job are kept, room for them is reserved.
    if (resolved.table === null && fork === null && start === null)
      return await recordWith(services, job, resolved, null);
    const reserved = await store.jobs.reserve(job);
    return reserved.outcome === "reserved" ? await keepAndRecord(services, job, resolved) : reserved;
  } finally {
    await resolved.table?.discard();
  }
}

/** The weights of a set alone may be more than its owner may have. @throws OverLimit */
async function assertRoomForSet(
  { datasets }: Pick<Services["store"], "datasets">,
  owner: string,
  { set, sizes }: Pick<Resolved, "set" | "sizes">,
): Promise<void> {
  if (set === null) return;
  const { limit, used } = await datasets.room(owner);
  const bytes = set.models * sizes.model;
  if (limit !== null && used + bytes > limit) throw new OverLimit("dataset_bytes", limit, used, bytes);
}

/** If the job is not created, nothing of it remains. */
async function keepAndRecord(
  services: Pick<Services, "store" | "files" | "traceContext">,
  job: Promised,
  resolved: Resolved,
): Promise<Created | Replayed> {
  const { owner } = job;
  let kept: Kept | null = null;
  let created = false;
  try {
    kept = await keepData(services, owner, resolved);
    const recorded = await recordWith(services, job, resolved, kept);
    created = recorded.outcome === "created";
    return recorded;
  } finally {
    if (!created) await giveUp(services, job, kept);
  }
}

async function giveUp(services: Pick<Services, "store" | "files">, job: Promised, kept: Kept | null): Promise<void> {
  const { store } = services;
  // If Redis is away, the reservation expires by itself.
  await store.jobs.unreserve(job).catch(() => undefined);
  if (kept?.created) await removeDataset(services, job.owner, kept.record).catch(() => undefined);
}

async function recordWith(
  { store, traceContext }: Pick<Services, "store" | "traceContext">,
  job: Promised,
  { spec, specSha256, ...resolved }: Resolved,
  kept: Kept | null,
): Promise<Created | Replayed> {
  const { inline, ...data } = spec.data;
  const ids = kept === null ? datasetIds(data) : [kept.record.id];
  const { arithmeticVersion, totalSteps, stateBytes, memoryBytes, workMs, warnings, set, inherited, told } = resolved;
  const init = givenInit(spec);
  const weightsId = job.start !== null && init !== null && "weights" in init ? init.weights : null;
  const sizes = { totalSteps, stateBytes, memoryBytes, workMs };
  const trace = traceContext?.() ?? null;
  const rest = { datasetIds: ids, weightsId, arithmeticVersion, ...sizes, warnings, set, inherited, told, trace };
  if (inline === undefined) return await store.jobs.create({ ...job, spec, specSha256, ...rest });
  // Rows that were written into the spec are too many for the job's record, which names the dataset
  // instead.
  const named = (whole: ResolvedSpec) => withDataset(whole, ids[0]);
  const pooled = set?.pooled && { ...set.pooled, spec: named(set.pooled.spec) };
  const sets = { set: set && { ...set, pooled: pooled ?? null } };
  const without = named(spec);
  return await store.jobs.create({ ...job, spec: without, specSha256: hashSpec(without), ...rest, ...sets });
}

function withDataset(spec: ResolvedSpec, dataset: string): ResolvedSpec {
  const { inline: _, ...data } = spec.data;
  return { ...spec, data: { dataset, ...data } };
}

export type Kept = Awaited<ReturnType<typeof recordDataset>>;

/** Makes a dataset of the rows that came with a spec, if any did. */
export async function keepData(
  services: Pick<Services, "store" | "files">,
  owner: string,
  { spec: { data }, table }: Resolved,
): Promise<Kept | null> {
  if (table === null) return null;
  return await recordDataset(services, owner, data.synthetic?.type ?? "inline", await table.make());
}

/** Webhooks must be signed, and must go only to permitted hosts. */
function webhookFaults(
  { url }: Pick<Webhook, "url">,
  owner: string,
  { webhookHosts, webhookSecrets }: Pick<Services["config"], "webhookHosts" | "webhookSecrets">,
): Fault[] {
  const faults: Fault[] = [];
  const message = urlFault(url, webhookHosts);
  if (message !== null) faults.push({ pointer: "/webhook/url", message });
  if (!webhookSecrets.has(owner)) {
    const needs = `needs a secret to sign with: RAPPEL_WEBHOOK_SECRETS has none of ${owner}`;
    faults.push({ pointer: "/webhook", message: needs });
  }
  return faults;
}

export function sendCreated(reply: FastifyReply, created: Created | Replayed): FastifyReply {
  const job = createdJob(created);
  if (created.outcome === "replayed") reply.header("idempotency-replayed", "true");
  return reply.code(201).header("location", `/v1/jobs/${job.id}`).send(job);
}

/** @throws Problem if there is none */
export function createdJob({ outcome, record }: Created | Replayed): Job {
  switch (outcome) {
    case "mismatch":
      throw keyMismatch();
    case "dataset_missing":
      throw faulty("invalid_spec", [{ pointer: "/data", message: "names a dataset that was deleted just now" }]);
    case "weights_missing":
      throw faulty("invalid_spec", [{ pointer: "/init/weights", message: "names weights that were deleted just now" }]);
    case "origin_missing":
      throw faulty("invalid_spec", [{ pointer: "/step", message: "means a checkpoint that was removed just now" }]);
    default:
      return record;
  }
}
