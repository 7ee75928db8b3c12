import { JobBatch, JobBatchResults, MAX_BATCH_JOBS } from "../../contract/wire/job-batch.ts";
import { MAX_BATCH_BYTES, parseBatch, type BatchEntry } from "../batch-body.ts";
import { beginBatch, createBatch } from "../job-batch.ts";
import { idempotencyHeaders } from "../job-creation.ts";
import { sendLongJson } from "../json.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";

export const bulk: Routes = async (app, services) => {
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request: unknown, text: string) =>
    parseBatch(text),
  );
  app.post(
    "/v1/jobs/batch",
    {
      bodyLimit: MAX_BATCH_BYTES,
      schema: {
        tags: ["jobs"],
        operationId: "createJobs",
        summary: "Create many jobs",
        description: `Up to ${MAX_BATCH_JOBS} specs in up to ${MAX_BATCH_BYTES / 2 ** 20} MiB, each for itself: the right ones become jobs, also if others are wrong. Each counts as a request where requests are limited. With \`Idempotency-Key\`, a repeated request finds the jobs that the first one created, and creates those that are missing: after a crash, or those that were refused.`,
        headers: idempotencyHeaders,
        body: JobBatch,
        response: {
          207: json(JobBatchResults, "What became of each spec."),
          ...problems("malformed_json", "too_large", "unsupported_media_type", "invalid_spec", "idempotency_mismatch"),
        },
      },
    },
    async (request, reply) => {
      // What the parser above made of the body. Without a body it was not called.
      const entries = (request.body as unknown as BatchEntry[] | undefined) ?? (await parseBatch(""));
      const batch = await beginBatch(services, request.owner, request.headers["idempotency-key"], entries);
      if (batch.replayed) reply.header("idempotency-replayed", "true");
      const results = await createBatch(services, reply, entries, batch);
      return sendLongJson(reply.code(207), { results });
    },
  );
};
