import { z } from "zod";
import { JobId } from "../../contract/wire/common.ts";
import {
  Fold,
  GeneratedText,
  MAX_BODY_BYTES,
  MAX_ROWS,
  PredictionRequest,
  Predictions,
  Which,
} from "../../contract/wire/prediction.ts";
import { MAX_WAITING } from "../../predict/predictor.ts";
import { STOP_AFTER_MS } from "../../predict/limits.ts";
import { oneModel } from "../../predict/source.ts";
import { pooledModel } from "../../store/pooled-model.ts";
import { ignoreUnwantedBodies } from "../plugins/validation.ts";
import { json, problems } from "../responses.ts";
import { assertSucceeded, servedModel } from "../served-model.ts";
import type { Routes, Services } from "../services.ts";
import { queryInteger } from "../requests.ts";
import { servedSet, unlessLost } from "../set-models.ts";
import { noSuchJob } from "./jobs.ts";

const CSV = ["text/csv", "application/csv"];

/**
 * Bodies are read in the thread that predicts, since large ones would hold up the event loop.
 */
export const predict: Routes = async (app, services) => {
  const { store, predictor } = services;
  app.removeAllContentTypeParsers();
  ignoreUnwantedBodies(app);
  app.addContentTypeParser(["application/json", ...CSV], { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );

  app.post(
    "/v1/jobs/:id/predict",
    {
      bodyLimit: MAX_BODY_BYTES,
      // Before the body is read.
      preParsing: async (request, reply) => {
        const { "content-length": length = MAX_BODY_BYTES } = request.headers;
        reply.raw.once("close", predictor.reserve(request.owner, Math.min(Number(length), MAX_BODY_BYTES)));
      },
      schema: {
        tags: ["results"],
        operationId: "predict",
        summary: "Predict from new rows",
        description: `Rows as JSON, as CSV, or as nested arrays; they are encoded as the training rows were. At most ${MAX_ROWS} rows, ${MAX_BODY_BYTES} bytes and ${STOP_AFTER_MS / 1000} seconds of work. A row gives the same numbers alone as among others. Up to ${MAX_WAITING} requests of an owner wait for a thread; more are a 503. Owners take turns. A CSV is read as the job's dataset was; \`which\`, \`fold\` and \`seed\` are in the query then. A set takes each row to the model of its key, and to its pooled model if the key has none.`,
        params: z.object({ id: JobId }),
        querystring: z.strictObject({
          which: Which.removeDefault().optional(),
          fold: queryInteger(Fold.removeDefault()).optional().describe("Beside a CSV: the fold, as in a body of JSON."),
          seed: queryInteger(PredictionRequest.shape.seed.removeDefault())
            .optional()
            .describe("Beside a CSV: the seed, as in a body of JSON."),
        }),
        consumes: ["application/json", "text/csv"],
        body: z.union([PredictionRequest, z.string().describe("A CSV, whose first line names the columns.")]),
        response: {
          200: json(z.union([Predictions, GeneratedText]), "A prediction for each row, or what follows the prompt."),
          ...problems(
            "malformed_json",
            "not_found",
            "wrong_status",
            "too_large",
            "unsupported_media_type",
            "invalid_spec",
            "invalid_dataset",
          ),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query, headers } = request;
      const progress = await store.jobs.progress(owner, params.id);
      if (progress === null) throw noSuchJob();
      assertSucceeded(progress.status);
      const isCsv = CSV.includes(mediaTypeOf(headers["content-type"]));
      const { signal } = reply.caller();
      const answer = await unlessLost(store, owner, params.id, () =>
        predictor.predict({
          owner,
          job: params.id,
          body: request.body as unknown as Buffer,
          csv: isCsv ? { which: "final", fold: 0, seed: 0, ...query, at: "?" } : null,
          load: (which) => load(services, owner, params.id, which),
          signal: signal!,
        }),
      );
      return reply.type("application/json; charset=utf-8").send(answer as unknown as Predictions);
    },
  );
};

/** What predicts, for a thread that does not have it. @throws Problem, Damaged */
async function load(services: Services, owner: string, id: string, which: Which) {
  const { store } = services;
  const set = await servedSet(services, owner, id, which);
  if (set !== null) {
    const pooled = await pooledModel(store, owner, id, which);
    return { set: set.source, pooled: pooled && oneModel(set.source.spec, pooled) };
  }
  const { job, file } = await servedModel(store, owner, id, which);
  const description = await store.jobs.description(owner, id);
  if (description === null) throw noSuchJob();
  return oneModel(job.spec, { description, file });
}

function mediaTypeOf(contentType = ""): string {
  return contentType.split(";", 1)[0].trim().toLowerCase();
}
