import { z } from "zod";
import { Problem } from "../../contract/errors.ts";
import { JobId } from "../../contract/wire/common.ts";
import type { Job } from "../../contract/wire/job.ts";
import { ModelDescription } from "../../contract/wire/model.ts";
import { Damaged } from "../../store/errors.ts";
import type { Store } from "../../store/store.ts";
import { sendJsonTagged, sendTagged } from "../etag.ts";
import { notFound } from "../plugins/problems.ts";
import { bytes, json, notModified, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

const params = z.object({ id: JobId });

export const model: Routes = async (app, { store }) => {
  app.get(
    "/v1/jobs/:id/model",
    {
      schema: {
        tags: ["results"],
        operationId: "getModel",
        summary: "Read a trained model's weights",
        description:
          "A safetensors file with PyTorch's names, as `load_state_dict` takes them. The `ETag` is the job's `weights_sha256`, which is the SHA-256 of these bytes.",
        params,
        querystring: z.strictObject({
          which: z
            .enum(["final", "best"])
            .default("final")
            .describe("The last weights, or those of the best evaluation, which needs `checkpoint.keep_best`."),
        }),
        response: {
          200: bytes("application/octet-stream", "A safetensors file."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { which } = request.query;
      const { spec, result } = await succeeded(store, request.owner, id);
      if (which === "best" && (!spec.checkpoint.keep_best || result!.best === null)) {
        throw notFound("This job kept no best weights; that takes checkpoint.keep_best in its spec.");
      }
      const file = await store.jobs.model(request.owner, id, which);
      if (file === null) {
        // The job may have been deleted meanwhile.
        await succeeded(store, request.owner, id);
        throw new Damaged("model");
      }
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

async function succeeded(store: Store, owner: string, id: string): Promise<Job> {
  const found = await store.jobs.get(owner, id);
  if (found === null) throw noSuchJob();
  if (found.status === "succeeded") return found;
  const detail = `There is a model once the job has succeeded; it is ${found.status}.`;
  throw new Problem("wrong_status", detail, { current_status: found.status });
}
