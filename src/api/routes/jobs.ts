import { z } from "zod";
import { Problem } from "../../contract/errors.ts";
import { unknownKey } from "../../contract/resolve/faults.ts";
import { resolveSpec, type Resolved } from "../../contract/resolve/resolve.ts";
import { Spec } from "../../contract/schema/spec.ts";
import { JobId } from "../../contract/wire/common.ts";
import { Job, JobList, JobStatus, ValidatedSpec } from "../../contract/wire/job.ts";
import { MOST_LOOKED_AT } from "../../store/job-list.ts";
import { roomOf } from "../../store/room.ts";
import {
  createJob,
  idempotencyHeaders,
  idempotencyOf,
  newJobId,
  once,
  resolveContext,
  sendCreated,
} from "../job-creation.ts";
import { notFound } from "../plugins/problems.ts";
import { commaSeparated, pageQuery } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";

const params = z.object({ id: JobId });
const page = pageQuery(JobId);
export const noSuchJob = () => notFound("There is no such job.");

const createQuery = z.strictObject({
  validate_only: z
    .enum(["true", "false"])
    .default("false")
    .describe("`true`: say what would become of the job, also if the store has no room for it, and store nothing."),
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

export const jobs: Routes = async (app, services) => {
  const { store } = services;
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
        headers: idempotencyHeaders,
        body: Spec,
        response: {
          200: json(ValidatedSpec, "With `validate_only`: the job would be accepted."),
          201: json(Job, "The job, which waits in the queue."),
          ...problems("malformed_json", "too_large", "unsupported_media_type", "invalid_spec", "idempotency_mismatch"),
        },
      },
    },
    async (request, reply) => {
      const { owner, bodyText } = request;
      if (bodyText === "") throw new Problem("malformed_json", "The body is empty; it must be a spec in JSON.");
      const validateOnly = request.query.validate_only === "true";
      const resolve = () => resolveSpec(request.body, resolveContext(services, reply));
      if (!validateOnly) {
        const use = idempotencyOf(request.headers["idempotency-key"], request);
        const create = async () => {
          // Asked for now, so that it comes together with the dataset's record.
          const id = newJobId(store);
          id.catch(() => undefined);
          return createJob(services, request, await resolve(), { id, idempotency: use });
        };
        return sendCreated(reply, await once(store.jobs, owner, use, create));
      }
      const resolved = await resolve();
      await resolved.table?.discard();
      await store.jobs.askRoom(owner, roomOf(resolved, 0));
      return validated(resolved);
    },
  );

  app.get(
    "/v1/jobs",
    {
      schema: {
        tags: ["jobs"],
        operationId: "listJobs",
        summary: "List jobs, newest first",
        description: `\`metadata.<key>=<value>\` narrows the list to jobs that carry it; several must all fit. Then a page looks at ${MOST_LOOKED_AT.toLocaleString("en")} jobs at most. So it may have fewer jobs than \`limit\`, or none, although \`has_more\` is true: read on with \`next\`.`,
        querystring: listQuery,
        response: { 200: json(JobList, "A page; the jobs lack `spec` and `warnings`."), ...problems() },
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

function validated({ spec, parameterCount, memoryBytes, memory, stateBytes, totalSteps, warnings }: Resolved) {
  return {
    valid: true as const,
    spec,
    parameters: parameterCount,
    memory_bytes: memoryBytes,
    memory,
    state_bytes: stateBytes,
    total_steps: totalSteps,
    warnings: [...warnings],
  };
}
