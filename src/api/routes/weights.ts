import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { z } from "zod";
import { InvalidWeights } from "../../data/files/weight-files.ts";
import { DatasetLost } from "../../data/dataset.ts";
import { Problem } from "../../contract/errors.ts";
import { WeightsId } from "../../contract/wire/common.ts";
import { Weights, WeightsList } from "../../contract/wire/weights.ts";
import { recordWeights, removeWeights } from "../datasets.ts";
import { notFound, wrongMediaType } from "../plugins/problems.ts";
import { ignoreUnwantedBodies } from "../plugins/validation.ts";
import { pageQuery } from "../requests.ts";
import { bytes, json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { Uploads } from "../uploads.ts";

const BYTES = "application/octet-stream";

const params = z.object({ id: WeightsId });
const missing = () => notFound("There are no such weights.");

export const weights: Routes = async (app, { store, files, config }) => {
  const uploads = new Uploads(store);
  // The file is streamed to disk as it arrives, whatever it is called.
  app.removeAllContentTypeParsers();
  ignoreUnwantedBodies(app, (payload) => payload);
  app.addHook("onRequest", async ({ method, raw: { headers } }) => {
    if (method === "POST") headers["content-type"] = BYTES;
  });

  app.post(
    "/v1/weights",
    {
      schema: {
        tags: ["weights"],
        operationId: "createWeights",
        summary: "Upload weights",
        description:
          "The body is a safetensors file, such as safetensors.torch.save_file writes of a state_dict. Jobs can begin with it (`init`). `Location` names the weights.",
        consumes: [BYTES],
        querystring: z.strictObject({
          name: z.string().min(1).max(128).optional().describe("What to call it. Ignored if these bytes are known."),
        }),
        body: z.string(),
        response: {
          200: json(Weights, "These bytes were known already."),
          201: json(Weights, "New weights."),
          ...problems("too_large", "unsupported_media_type", "invalid_weights"),
        },
      },
    },
    async (request, reply) => {
      const { body, headers } = request as { body: unknown; headers: IncomingHttpHeaders };
      const { owner } = request;
      if (!(body instanceof Readable)) throw wrongMediaType(request);
      const draft = await uploads
        .during(owner, Number(headers["content-length"] ?? 0), (arrived) =>
          files.weights.receive(body, config.maxDatasetBytes, reply.caller(), arrived),
        )
        .catch((error: unknown) => {
          throw error instanceof InvalidWeights ? new Problem("invalid_weights", error.message) : error;
        });
      try {
        const name = request.query.name ?? null;
        const { record, created } = await recordWeights({ store, files }, owner, name, draft);
        reply.code(created ? 201 : 200).header("location", `/v1/weights/${record.id}`);
        return record;
      } finally {
        await draft.discard();
      }
    },
  );

  app.get(
    "/v1/weights",
    {
      schema: {
        tags: ["weights"],
        operationId: "listWeights",
        summary: "List weights, newest first",
        querystring: z.strictObject(pageQuery(WeightsId)),
        response: {
          200: json(WeightsList, "A page, which is shorter where files have very many tensors."),
          ...problems(),
        },
      },
    },
    async (request) => store.weights.list(request.owner, request.query),
  );

  app.get(
    "/v1/weights/:id",
    {
      schema: {
        tags: ["weights"],
        operationId: "getWeights",
        summary: "Read what weights hold",
        params,
        response: { 200: json(Weights, "The weights."), ...problems("not_found") },
      },
    },
    async (request) => {
      const record = await store.weights.get(request.owner, request.params.id);
      if (record === null) throw missing();
      return record;
    },
  );

  app.get(
    "/v1/weights/:id/content",
    {
      schema: {
        tags: ["weights"],
        operationId: "getWeightsContent",
        summary: "Read the bytes of weights",
        params,
        response: { 200: bytes(BYTES, "The bytes as they were uploaded."), ...problems("not_found") },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const record = await store.weights.get(owner, params.id);
      if (record === null) throw missing();
      const original = await files.weights.original(record);
      if (original === null) {
        // They may have been deleted meanwhile.
        if ((await store.weights.get(owner, params.id)) === null) throw missing();
        throw new DatasetLost("The file of these weights is missing on this machine.");
      }
      return reply
        .type(BYTES)
        .header("content-length", original.bytes)
        .header("etag", `"${record.sha256}"`)
        .send(original.checked(record.sha256, "weights"));
    },
  );

  app.delete(
    "/v1/weights/:id",
    {
      schema: {
        tags: ["weights"],
        operationId: "deleteWeights",
        summary: "Delete weights",
        params,
        response: { 204: z.undefined().describe("They are gone."), ...problems("not_found", "weights_in_use") },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const record = await store.weights.get(owner, params.id);
      const outcome = record === null ? "missing" : await removeWeights({ store, files }, owner, record);
      if (outcome === "missing") throw missing();
      if (outcome === "in_use")
        throw new Problem("weights_in_use", "A job that has not ended begins with these weights.");
      return reply.code(204).send();
    },
  );
};
