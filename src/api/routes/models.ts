import { z } from "zod";
import { JobId } from "../../contract/wire/common.ts";
import { SetModelDetails, SetModelList } from "../../contract/wire/model-set.ts";
import { ModelDescription } from "../../contract/wire/model.ts";
import { Which } from "../../contract/wire/prediction.ts";
import { sendJsonTagged, sendTagged } from "../etag.ts";
import { notFound } from "../plugins/problems.ts";
import { MODEL_STATUSES } from "../../sets/shard-file.ts";
import { numberCursor, pageQuery, queryInteger } from "../requests.ts";
import { bytes, json, notModified, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { listModels, toDetails, useModel, usePooled } from "../set-models.ts";

const params = z.object({ id: JobId, number: queryInteger(z.int().min(0)) });

export const models: Routes = async (app, services) => {
  app.get(
    "/v1/jobs/:id/models",
    {
      schema: {
        tags: ["sets"],
        operationId: "listSetModels",
        summary: "List the models of a set",
        description:
          "While the set runs, those that have ended so far, by number, without `sort` and `status`: a page may lack models before its last one that end later.",
        params: z.object({ id: JobId }),
        querystring: z.strictObject({
          ...pageQuery(numberCursor),
          sort: z
            .string()
            .regex(/^(number|-?(rows|steps|metric\.[a-z0-9_]{1,40}))$/, "must be number, rows, steps or metric.<name>")
            .default("number")
            .describe(
              "`number`, `rows`, `steps` or `metric.<name>`, such as `metric.valid_loss`; with `-` before it the largest come first. Models without a value come last.",
            )
            .meta({ examples: ["-metric.valid_accuracy"] }),
          status: z.enum(MODEL_STATUSES).optional(),
        }),
        response: {
          200: json(SetModelList, "A page."),
          ...problems("invalid_parameter", "not_found", "wrong_status"),
        },
      },
    },
    async ({ owner, params: { id }, query: { status = null, after, limit, sort } }, reply) => {
      const cursor = after === undefined ? null : Number(after);
      return listModels(services, { ...reply.caller(), owner }, id, { sort, limit, after: cursor, status });
    },
  );

  app.get(
    "/v1/jobs/:id/models/pooled",
    {
      schema: {
        tags: ["sets"],
        operationId: "getPooledModel",
        summary: "Read how to use the pooled model of a set",
        description:
          "The model of the rows of all keys, if the spec has `training.pooled`. As soon as it is trained, also while the others are.",
        params: z.object({ id: JobId }),
        response: {
          200: json(ModelDescription, "The model."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { description } = await usePooled(services, request.owner, request.params.id);
      return sendJsonTagged(request, reply, description);
    },
  );

  app.get(
    "/v1/jobs/:id/models/pooled/model",
    {
      schema: {
        tags: ["sets"],
        operationId: "getPooledModelWeights",
        summary: "Read the weights of the pooled model of a set",
        description: "The safetensors file that the plain job without `partition_by` would have.",
        params: z.object({ id: JobId }),
        querystring: z.strictObject({ which: Which }),
        response: {
          200: bytes("application/octet-stream", "A safetensors file."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const { file } = await usePooled(services, owner, params.id);
      const { bytes: content, sha256 } = await file(query.which);
      return sendTagged(request, reply.type("application/octet-stream"), sha256, content);
    },
  );

  app.get(
    "/v1/jobs/:id/models/:number",
    {
      schema: {
        tags: ["sets"],
        operationId: "getSetModel",
        summary: "Read a model of a set, and how to use it",
        description: "As soon as it has ended, also while the others are trained.",
        params,
        response: {
          200: json(SetModelDetails, "The model."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const model = await useModel(services, owner, params.id, params.number, (found) => toDetails(params.id, found));
      return sendJsonTagged(request, reply, model);
    },
  );

  app.get(
    "/v1/jobs/:id/models/:number/model",
    {
      schema: {
        tags: ["sets"],
        operationId: "getSetModelWeights",
        summary: "Read the weights of a model of a set",
        description: "The safetensors file that the plain job would have.",
        params,
        querystring: z.strictObject({ which: Which }),
        response: {
          200: bytes("application/octet-stream", "A safetensors file."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const file = await useModel(services, owner, params.id, params.number, (model) => model.file(query.which));
      if (file === null) throw notFound("This model has no such weights: it did not succeed, or kept no best ones.");
      return sendTagged(request, reply.type("application/octet-stream"), file.sha256, Buffer.from(file.bytes));
    },
  );
};
