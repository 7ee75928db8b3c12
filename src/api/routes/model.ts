import { Readable } from "node:stream";
import { z } from "zod";
import { JobId } from "../../contract/wire/common.ts";
import { ModelDescription } from "../../contract/wire/model.ts";
import { Which } from "../../contract/wire/prediction.ts";
import { sendJsonTagged, sendTagged } from "../etag.ts";
import { bytes, json, notModified, problems } from "../responses.ts";
import { servedModel, succeeded } from "../served-model.ts";
import type { Routes } from "../services.ts";
import { stackedModels } from "../set-models.ts";
import { noSuchJob } from "./jobs.ts";

const params = z.object({ id: JobId });

export const model: Routes = async (app, services) => {
  const { store } = services;
  app.get(
    "/v1/jobs/:id/model",
    {
      schema: {
        tags: ["results"],
        operationId: "getModel",
        summary: "Read a trained model's weights",
        description:
          "A safetensors file with PyTorch's names, as `load_state_dict` takes them. The `ETag` is the job's `weights_sha256`, which is the SHA-256 of these bytes, but not of a set. A set gives all models that succeeded, stacked as `torch.func.stack_module_state` stacks them; the metadata has their numbers and keys. Models of unequal shapes are a 409.",
        params,
        querystring: z.strictObject({
          which: Which,
        }),
        response: {
          200: bytes("application/octet-stream", "A safetensors file."),
          304: notModified,
          ...problems("not_found", "wrong_status", "not_stackable"),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { which } = request.query;
      const stacked = await stackedModels(services, request.owner, id, which);
      if (stacked !== null) {
        const { bytes, chunks, sha256 } = stacked;
        reply.type("application/octet-stream").header("content-length", bytes);
        return sendTagged(request, reply, sha256, Readable.from(chunks, { objectMode: false }));
      }
      const { file } = await servedModel(store, request.owner, id, which);
      return sendTagged(request, reply.type("application/octet-stream"), file.sha256, file.bytes);
    },
  );

  app.get(
    "/v1/jobs/:id/model/description",
    {
      schema: {
        tags: ["results"],
        operationId: "getModelDescription",
        summary: "Read how to use a trained model",
        params,
        response: {
          200: json(ModelDescription, "Layers, encoders of the inputs, meaning of the outputs."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await succeeded(store, request.owner, id);
      const description = await store.jobs.description(request.owner, id);
      if (description === null) throw noSuchJob();
      return sendJsonTagged(request, reply, description);
    },
  );
};
