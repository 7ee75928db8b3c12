import { createHash } from "node:crypto";
import type { FastifyReply } from "fastify";
import { ulid } from "ulid";
import { z } from "zod";
import type { Config } from "../../config.ts";
import { faulty, Problem } from "../../spec/errors.ts";
import { unknownKey, type Fault } from "../../spec/faults.ts";
import { hashSpec, resolveSpec, type Resolved } from "../../spec/resolve.ts";
import { Spec, type ResolvedSpec } from "../../spec/spec.ts";
import { urlFault, type Webhook } from "../../spec/webhook.ts";
import { Job, JobId, JobList, JobStatus, ValidatedSpec } from "../../spec/wire.ts";
import type { Created, Replayed } from "../../store/jobs.ts";
import { recordDataset } from "../datasets.ts";
import { notFound } from "../plugins/problems.ts";
import { commaSeparated, pageQuery } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes, Services } from "../services.ts";

const params = z.object({ id: JobId });
const page = pageQuery(JobId);
export const noSuchJob = () => notFound("There is no such job.");

const createQuery = z.strictObject({
  validate_only: z
    .enum(["true", "false"])
    .default("false")
    .describe("`true`: say what would become of the job, and store nothing."),
});

const idempotency = z.looseObject({
  "idempotency-key": z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe("Posting again with the same key and body within 24 hours gives the first job again."),
});

const listQuery = z
  .object({
    ...page,
    status: commaSeparated(z.enum(JobStatus.options))
      .optional()
      .describe("One or more, separated by commas.")
      .meta({ examples: ["running,queued"] }),
  })
  .catchall(z.string())
  .superRefine((query, context) => {
    const known = [...Object.keys(page), "status", "metadata.<key>"];
    for (const name of Object.keys(query)) {
      if (known.includes(name) || name.startsWith("metadata.")) continue;
      context.addIssue({ code: "custom", path: [name], message: unknownKey(name, known) });
    }
  });

export const jobs: Routes = async (app, { store, files, queue, config }) => {
  app.post(
    "/v1/jobs",
    {
      schema: {
        tags: ["jobs"],
        operationId: "createJob",
        summary: "Create a job",
        description:
          "`Location` names the job. With `Idempotency-Key`, a repeated request is answered with the first one's job and `Idempotency-Replayed: true`.",
        querystring: createQuery,
        headers: idempotency,
        body: Spec,
        response: {
          200: json(ValidatedSpec, "With `validate_only`: the job would be accepted."),
          201: json(Job, "The job, which waits in the queue."),
          ...problems(
            "malformed_json",
            "invalid_parameter",
            "too_large",
            "unsupported_media_type",
            "invalid_spec",
            "idempotency_mismatch",
          ),
        },
      },
    },
    async (request, reply) => {
      const { owner, bodyText } = request;
      if (bodyText === "") throw new Problem("malformed_json", "The body is empty; it must be a spec in JSON.");
      const validateOnly = request.query.validate_only === "true";
      const key = validateOnly ? undefined : request.headers["idempotency-key"];
      const use = key === undefined ? null : { key, bodySha256: sha256(bodyText) };
      // Before the spec is checked: its dataset may be gone by now.
      const earlier = use && (await store.jobs.replay(owner, use.key, use.bodySha256));
      if (earlier) return sendCreated(reply, earlier);
      const resolved = await resolveSpec(request.body, {
        dataset: (id) => store.datasets.get(owner, id),
        files,
        maxMemoryBytes: config.maxJobBytes,
        maxStateBytes: maxStateBytes(config),
        webhookFaults: (webhook) => webhookFaults(webhook, owner, config),
      });
      let outcome: Created | Replayed | null;
      try {
        outcome = validateOnly ? null : await createJob({ store, files }, owner, resolved, use);
      } finally {
        await resolved.draft?.discard();
      }
      if (outcome === null) return validated(resolved);
      if (outcome.outcome === "created") {
        // The job is recorded: should this fail, the reconciler delivers it.
        const { id } = outcome.record;
        await queue.deliver({ owner, id, delivery: 1, turn: outcome.turn }).catch((error: unknown) => {
          request.log.warn({ err: error, job_id: id }, "not delivered yet");
        });
      }
      return sendCreated(reply, outcome);
    },
  );

  app.get(
    "/v1/jobs",
    {
      schema: {
        tags: ["jobs"],
        operationId: "listJobs",
        summary: "List jobs, newest first",
        description: "`metadata.<key>=<value>` narrows the list to jobs that carry it; several must all fit.",
        querystring: listQuery,
        response: { 200: json(JobList, "A page; the jobs lack `spec`."), ...problems("invalid_parameter") },
      },
    },
    async (request) => {
      const { limit, after, status, ...rest } = request.query;
      const metadata = Object.entries(rest).map(([name, value]) => [name.slice("metadata.".length), value]);
      return store.jobs.list(request.owner, { limit, after, statuses: status, metadata: Object.fromEntries(metadata) });
    },
  );

  app.get(
    "/v1/jobs/:id",
    {
      schema: {
        tags: ["jobs"],
        operationId: "getJob",
        summary: "Read a job",
        params,
        response: { 200: json(Job, "The job."), ...problems("not_found") },
      },
    },
    async (request) => {
      const job = await store.jobs.get(request.owner, request.params.id);
      if (job === null) throw noSuchJob();
      return job;
    },
  );
};

async function createJob(
  services: Pick<Services, "store" | "files">,
  owner: string,
  resolved: Resolved,
  idempotency: { key: string; bodySha256: string } | null,
): Promise<Created | Replayed> {
  return services.store.jobs.create({
    id: `job_${ulid().toLowerCase()}`,
    owner,
    ...(await keepData(services, owner, resolved)),
    arithmeticVersion: resolved.arithmeticVersion,
    totalSteps: resolved.totalSteps,
    stateBytes: resolved.stateBytes,
    idempotency,
  });
}

/**
 * Makes a dataset of the rows that came with a spec. Those that were written into it are too many for the job's record: there the dataset stands for them.
 */
async function keepData(
  services: Pick<Services, "store" | "files">,
  owner: string,
  { spec, specSha256, draft }: Resolved,
): Promise<{ spec: ResolvedSpec; specSha256: string; datasetId: string }> {
  const { inline, ...data } = spec.data;
  if (draft === null) return { spec, specSha256, datasetId: data.dataset! };
  await draft.keep();
  const { record } = await recordDataset(services, owner, data.synthetic?.type ?? "inline", draft.content);
  if (inline === undefined) return { spec, specSha256, datasetId: record.id };
  const kept = { ...spec, data: { dataset: record.id, ...data } };
  return { spec: kept, specSha256: hashSpec(kept), datasetId: record.id };
}

function sendCreated(reply: FastifyReply, { outcome, record }: Created | Replayed): FastifyReply {
  if (outcome === "mismatch") {
    throw new Problem("idempotency_mismatch", "This Idempotency-Key was used for another body; take a new one.");
  }
  if (outcome === "dataset_missing") {
    throw faulty("invalid_spec", [{ pointer: "/data", message: "names a dataset that was deleted just now" }]);
  }
  if (outcome === "replayed") reply.header("idempotency-replayed", "true");
  return reply.code(201).header("location", `/v1/jobs/${record.id}`).send(record);
}

function validated({ spec, parameterCount, memoryBytes, stateBytes, totalSteps }: Resolved) {
  return {
    valid: true as const,
    spec,
    parameters: parameterCount,
    memory_bytes: memoryBytes,
    state_bytes: stateBytes,
    total_steps: totalSteps,
  };
}

/** Of Redis' memory 70 % are for checkpoints, and one is written while the last one is still there. */
function maxStateBytes({ maxStateBytes, redisMaxBytes }: Pick<Config, "maxStateBytes" | "redisMaxBytes">): number {
  return Math.min(maxStateBytes, Math.floor((0.7 * redisMaxBytes) / 2));
}

/** What is sent must be signed, and go nowhere but where it may. */
function webhookFaults(
  { url }: Webhook,
  owner: string,
  { webhookHosts, webhookSecrets }: Pick<Config, "webhookHosts" | "webhookSecrets">,
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

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
