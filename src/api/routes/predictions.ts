import type { FastifyReply } from "fastify";
import { z } from "zod";
import { check } from "../../contract/resolve/faults.ts";
import { MAX_PREDICTIONS } from "../../contract/facts.ts";
import { faulty, Problem } from "../../contract/errors.ts";
import {
  BatchPrediction,
  BatchPredictionList,
  BatchPredictionRequest,
  MAX_DATASET_ROWS,
} from "../../contract/wire/batch-prediction.ts";
import { JobId, PredictionId } from "../../contract/wire/common.ts";
import { DatasetLost } from "../../data/dataset.ts";
import type { ChangedPrediction, CreatedPrediction } from "../../store/predictions.ts";
import { isTagged, sendTagged } from "../etag.ts";
import { idempotencyHeaders, idempotencyOf, keyMismatch, once } from "../job-creation.ts";
import { factsOfModel, factsOfSet } from "../prediction-facts.ts";
import { notFound } from "../plugins/problems.ts";
import { pageQuery } from "../requests.ts";
import { bytes, json, notModified, problems } from "../responses.ts";
import { succeededAny } from "../served-model.ts";
import type { Routes, Services } from "../services.ts";
import { wakeWorker } from "../wake.ts";
import { noSuchJob } from "./jobs.ts";

const CSV = "text/csv; charset=utf-8";
const params = z.object({ id: JobId, prediction: PredictionId });
const missing = () => notFound("This job has no such prediction.");

export const predictions: Routes = async (app, services) => {
  const { store, files } = services;

  app.post(
    "/v1/jobs/:id/predictions",
    {
      schema: {
        tags: ["results"],
        operationId: "createPrediction",
        summary: "Predict from a whole dataset",
        description: `The prediction is a job: it waits in the queue, takes its owner's turn, runs on a worker, and can be cancelled. Its result is a CSV. The dataset has at most ${MAX_DATASET_ROWS} rows. The largest CSV that may come of it counts as bytes of datasets until it ends, and may not be larger than a dataset; then its own bytes count until it is deleted. An owner has at most ${MAX_PREDICTIONS}. \`Location\` names the prediction.`,
        params: z.object({ id: JobId }),
        headers: idempotencyHeaders,
        body: BatchPredictionRequest,
        response: {
          201: json(BatchPrediction, "The prediction, which waits in the queue."),
          ...problems(
            "malformed_json",
            "not_found",
            "wrong_status",
            "too_large",
            "unsupported_media_type",
            "invalid_spec",
            "idempotency_mismatch",
          ),
        },
      },
    },
    async (request, reply) => {
      const { owner, log, bodyText } = request;
      if (bodyText === "") throw new Problem("malformed_json", "The body is empty; it must name a dataset, in JSON.");
      const job_id = request.params.id;
      const use = idempotencyOf(request.headers["idempotency-key"], request, job_id, "predictions");
      const created = await once<CreatedPrediction>(store.predictions, owner, use, async () => {
        const job = await succeededAny(store, owner, job_id);
        const { value: asked, faults } = check(BatchPredictionRequest, request.body);
        if (faults !== null) throw faulty("invalid_spec", faults);
        const known = { services, owner, id: job_id, asked, caller: reply.caller() };
        const facts = job.models === null ? await factsOfModel(known) : await factsOfSet(known);
        const id = `pred_${await store.newUlid()}`;
        const trace = services.traceContext?.() ?? null;
        return await store.predictions.create({ id, owner, job_id, ...facts, idempotency: use, trace });
      });
      if (created.outcome === "created" && created.wake) await wakeWorker(services, log);
      return sendCreated(reply, created);
    },
  );

  app.get(
    "/v1/jobs/:id/predictions",
    {
      schema: {
        tags: ["results"],
        operationId: "listPredictions",
        summary: "List a job's predictions over datasets, newest first",
        params: z.object({ id: JobId }),
        querystring: z.strictObject(pageQuery(PredictionId)),
        response: { 200: json(BatchPredictionList, "A page."), ...problems("not_found") },
      },
    },
    async (request) => {
      const page = await store.predictions.list(request.owner, request.params.id, request.query);
      if (page === null) throw noSuchJob();
      return page;
    },
  );

  app.get(
    "/v1/jobs/:id/predictions/:prediction",
    {
      schema: {
        tags: ["results"],
        operationId: "getPrediction",
        summary: "Read a prediction over a dataset",
        params,
        response: { 200: json(BatchPrediction, "The prediction."), ...problems("not_found") },
      },
    },
    async (request) => await found(services, request.owner, request.params),
  );

  app.get(
    "/v1/jobs/:id/predictions/:prediction/result",
    {
      schema: {
        tags: ["results"],
        operationId: "getPredictionResult",
        summary: "Read the CSV of a prediction",
        description:
          "A line for each row of the dataset, in its order, after one that names the columns; of a model of windows a line for each window. The `ETag` is the SHA-256 of the bytes.",
        params,
        response: {
          200: bytes("text/csv", "The predictions."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const { status, result } = await found(services, owner, params);
      if (result === null) {
        const detail = `There is a result once the prediction has succeeded; it is ${status}.`;
        throw new Problem("wrong_status", detail, { current_status: status });
      }
      if (isTagged(request, result.sha256)) return sendTagged(request, reply, result.sha256, null);
      const file = await files.results.open(params.prediction);
      if (file === null) {
        // It may have been deleted meanwhile.
        await found(services, owner, params);
        throw new DatasetLost("The file of this result is missing on this machine.", "Predict again.");
      }
      reply.type(CSV).header("content-length", result.bytes);
      return sendTagged(request, reply, result.sha256, file.checked(result.sha256));
    },
  );

  app.post(
    "/v1/jobs/:id/predictions/:prediction/cancel",
    {
      schema: {
        tags: ["results"],
        operationId: "cancelPrediction",
        summary: "Cancel a prediction over a dataset",
        params,
        response: {
          200: json(BatchPrediction, "It was cancelled before."),
          202: json(BatchPrediction, "It is cancelled, or about to be."),
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      await found(services, owner, params);
      const changed = await store.predictions.cancel(owner, params.prediction);
      const { outcome, record } = possible(changed, "A prediction can be cancelled until it has ended");
      return reply.code(outcome === "already" ? 200 : 202).send(record);
    },
  );

  app.delete(
    "/v1/jobs/:id/predictions/:prediction",
    {
      schema: {
        tags: ["results"],
        operationId: "deletePrediction",
        summary: "Delete a prediction that has ended",
        description: "With its result.",
        params,
        response: { 204: z.undefined().describe("It is gone."), ...problems("not_found", "wrong_status") },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      await found(services, owner, params);
      const changed = await store.predictions.remove(owner, params.prediction);
      const { record } = possible(changed, "Only a prediction that has ended can be deleted (cancel it first)");
      await files.results.remove(record.id);
      return reply.code(204).send();
    },
  );
};

type Params = z.infer<typeof params>;

async function found({ store }: Services, owner: string, { id, prediction }: Params): Promise<BatchPrediction> {
  const record = await store.predictions.get(owner, prediction, id);
  if (record === null) throw missing();
  return record;
}

function sendCreated(reply: FastifyReply, created: CreatedPrediction): FastifyReply {
  switch (created.outcome) {
    case "mismatch":
      throw keyMismatch();
    case "job_missing":
      throw noSuchJob();
    case "dataset_missing":
      throw faulty("invalid_spec", [{ pointer: "/dataset", message: "names a dataset that was deleted just now" }]);
    default: {
      const { outcome, record } = created;
      if (outcome === "replayed") reply.header("idempotency-replayed", "true");
      return reply.code(201).header("location", `/v1/jobs/${record.job_id}/predictions/${record.id}`).send(record);
    }
  }
}

/** @throws Problem if there is no such prediction, or its status does not allow what was asked */
function possible<Outcome extends string>(changed: ChangedPrediction<Outcome>, rule: string) {
  if (changed === null) throw missing();
  const { outcome, record } = changed;
  if (outcome !== "wrong_status") return changed;
  throw new Problem("wrong_status", `${rule}; this one is ${record.status}.`, { current_status: record.status });
}
