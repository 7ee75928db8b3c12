import type { FastifyReply } from "fastify";
import { z } from "zod";
import { check } from "../../contract/resolve/faults.ts";
import { findTable } from "../../contract/resolve/tables.ts";
import { datasetIds, MAX_PREDICTIONS } from "../../contract/facts.ts";
import { faulty, Problem } from "../../contract/errors.ts";
import {
  BatchPrediction,
  BatchPredictionList,
  BatchPredictionRequest,
  MAX_DATASET_ROWS,
} from "../../contract/wire/batch-prediction.ts";
import { JobId, PredictionId } from "../../contract/wire/common.ts";
import { DatasetLost } from "../../data/dataset.ts";
import { mostBytes } from "../../predict/batch.ts";
import { unfit } from "../../predict/blocks.ts";
import type { ModelSource } from "../../predict/model.ts";
import { unfitPlaces } from "../../predict/series.ts";
import { sourceOf } from "../../predict/source.ts";
import type { ChangedPrediction, CreatedPrediction } from "../../store/predictions.ts";
import { isTagged, sendTagged } from "../etag.ts";
import { idempotencyHeaders, idempotencyOf, keyMismatch, once } from "../job-creation.ts";
import { notFound } from "../plugins/problems.ts";
import { pageQuery } from "../requests.ts";
import { bytes, json, notModified, problems } from "../responses.ts";
import { servedModel, succeeded } from "../served-model.ts";
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
        await succeeded(store, owner, job_id);
        const { value: asked, faults } = check(BatchPredictionRequest, request.body);
        if (faults !== null) throw faulty("invalid_spec", faults);
        const { source, weights_sha256 } = await sourceFor(services, owner, job_id, asked);
        const { rows, resultBytes } = await sizesFor(services, owner, datasetIds(asked), source);
        const id = `pred_${await store.newUlid()}`;
        const unseen = asked.unseen ?? source.unseen;
        const { which } = asked;
        const facts = { job_id, datasets: datasetIds(asked), which, unseen, weights_sha256, rows, resultBytes };
        const trace = services.traceContext?.() ?? null;
        return await store.predictions.create({ id, owner, ...facts, idempotency: use, trace });
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

/** @throws Problem if there is no such model, or if it predicts from no table */
async function sourceFor({ store }: Services, owner: string, id: string, { which }: BatchPredictionRequest) {
  const { job, file } = await servedModel(store, owner, id, which);
  const description = await store.jobs.description(owner, id);
  if (description === null) throw noSuchJob();
  const source = sourceOf(job.spec, description, file.sha256);
  if (job.spec.data.text === null) return { source, weights_sha256: file.sha256 };
  const message =
    "cannot be predicted from: the model goes on with a text. Send its beginning as the prompt of /predict";
  throw faulty("invalid_spec", [{ pointer: "/dataset", message }]);
}

/** @throws Problem if a dataset is not there, or they are none for this model, or too large */
async function sizesFor({ store, config }: Services, owner: string, ids: readonly string[], source: ModelSource) {
  const dataset = (id: string) => store.datasets.get(owner, id);
  const { content, faults } = await findTable(ids, "/dataset", { dataset });
  if (content === null) throw faulty("invalid_spec", faults);
  const { window, inputs } = source;
  const places = window === null ? [] : unfitPlaces(window, content.rows, content.columns);
  const misfits = [...unfit(inputs, content.columns), ...places];
  if (misfits.length > 0) throw faulty("invalid_spec", misfits);
  const { rows } = content;
  if (rows > MAX_DATASET_ROWS) {
    const message = `has ${rows} rows, and a prediction may have ${MAX_DATASET_ROWS}: split it`;
    throw faulty("invalid_spec", [{ pointer: "/dataset", message }]);
  }
  const resultBytes = mostBytes(source, content);
  if (resultBytes <= config.maxDatasetBytes) return { rows, resultBytes };
  const detail = `The CSV may take ${resultBytes} bytes, and may take ${config.maxDatasetBytes} (RAPPEL_MAX_DATASET_BYTES): predict from fewer rows at a time.`;
  throw new Problem("too_large", detail);
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
