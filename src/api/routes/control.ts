import { z } from "zod";
import { Problem } from "../../contract/errors.ts";
import { JobId } from "../../contract/wire/common.ts";
import { Job } from "../../contract/wire/job.ts";
import type { Changed } from "../../store/jobs.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { wakeWorker } from "../wake.ts";
import { noSuchJob } from "./jobs.ts";

const params = z.object({ id: JobId });

export const control: Routes = async (app, { store, files, queue }) => {
  app.post(
    "/v1/jobs/:id/cancel",
    {
      schema: {
        tags: ["jobs"],
        operationId: "cancelJob",
        summary: "Cancel a job",
        description: "A job that no worker holds is cancelled at once; a running one stops at its next step.",
        params,
        response: {
          200: json(Job, "It was cancelled before."),
          202: json(Job, "It is cancelled, or about to be."),
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { outcome, record } = possible("cancel", await store.jobs.cancel(request.owner, request.params.id));
      return reply.code(outcome === "already" ? 200 : 202).send(record);
    },
  );

  app.post(
    "/v1/jobs/:id/pause",
    {
      schema: {
        tags: ["jobs"],
        operationId: "pauseJob",
        summary: "Pause a job",
        description:
          "A job that waits is paused at once; a running one stops at its next step, with a checkpoint, and gives its threads to others. One that ends before it can be paused has ended.",
        params,
        response: {
          202: json(Job, "It is paused, or about to be."),
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { record } = possible("pause", await store.jobs.pause(request.owner, request.params.id));
      return reply.code(202).send(record);
    },
  );

  app.post(
    "/v1/jobs/:id/resume",
    {
      schema: {
        tags: ["jobs"],
        operationId: "resumeJob",
        summary: "Resume a paused job",
        description:
          "It waits for a worker again, and goes on where it was: its result is as if it had never been paused.",
        params,
        response: {
          202: json(Job, "It waits in the queue."),
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner } = request;
      const { record, wake } = possible("resume", await store.jobs.resume(owner, request.params.id));
      if (wake) await wakeWorker({ queue }, request.log);
      return reply.code(202).send(record);
    },
  );

  app.delete(
    "/v1/jobs/:id",
    {
      schema: {
        tags: ["jobs"],
        operationId: "deleteJob",
        summary: "Delete a job that has ended",
        description:
          "With its checkpoints, models, metrics, events and predictions over datasets, and the files of a set of models; what its webhook was not told yet is withdrawn. Its dataset stays, one that came with the spec too: delete it by its id.",
        params,
        response: {
          204: z.undefined().describe("It is gone."),
          ...problems("not_found", "wrong_status", "job_in_use"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const predictions = await store.predictions.idsOf(owner, params.id);
      const { outcome, record } = possible("delete", await store.jobs.remove(owner, params.id));
      if (outcome === "in_use") {
        const detail = "A prediction with this job's model has not ended: wait for it, or cancel it.";
        throw new Problem("job_in_use", detail);
      }
      for (const prediction of predictions) await files.results.remove(prediction);
      if (record.models !== null) await files.results.removeSet(params.id);
      return reply.code(204).send();
    },
  );
};

const rules = {
  cancel: "A job can be cancelled until it has ended",
  pause: "Only a job that is queued or running can be paused",
  resume: "Only a paused job can be resumed",
  delete: "Only a job that has ended can be deleted (cancel it first)",
};

/** @throws Problem if there is no such job, or its status does not allow what was asked. */
function possible<C extends NonNullable<Changed<string, Pick<Job, "status">>>>(
  action: keyof typeof rules,
  changed: C | null,
): C {
  if (changed === null) throw noSuchJob();
  const { outcome, record } = changed;
  if (outcome !== "wrong_status") return changed;
  throw new Problem("wrong_status", `${rules[action]}; this one is ${record.status}.`, {
    current_status: record.status,
  });
}
