import { z } from "zod";
import { TorchOptimizer, torchOptimizer, torchTensors } from "../../contract/torch-optimizer.ts";
import { CheckpointList } from "../../contract/wire/checkpoint.ts";
import { JobId } from "../../contract/wire/common.ts";
import { notFound } from "../plugins/problems.ts";
import { numberCursor, pageQuery, queryInteger } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const checkpoints: Routes = async (app, { store }) => {
  const jobOf = async (owner: string, id: string) => present(await store.jobs.get(owner, id));

  app.get(
    "/v1/jobs/:id/checkpoints",
    {
      schema: {
        tags: ["results"],
        operationId: "listCheckpoints",
        summary: "List a job's checkpoints, newest first",
        params: z.object({ id: JobId }),
        querystring: z.strictObject(pageQuery(numberCursor)),
        response: { 200: json(CheckpointList, "A page."), ...problems("not_found") },
      },
    },
    async (request) => {
      const page = await store.jobs.checkpoints(request.owner, request.params.id, request.query);
      if (page === null) throw noSuchJob();
      return page;
    },
  );

  app.get(
    "/v1/jobs/:id/checkpoints/:step",
    {
      schema: {
        tags: ["results"],
        operationId: "getCheckpoint",
        summary: "Read a checkpoint",
        description:
          "The whole state as one safetensors file: weights, moment estimates and, in its metadata, everything else needed to go on. Or the optimizer's state as `load_state_dict` of PyTorch's optimizer takes it, in two parts: JSON, and a safetensors file of the tensors that it names.",
        params: z.object({ id: JobId, step: queryInteger(z.int().min(0)) }),
        querystring: z.strictObject({
          format: z
            .enum(["safetensors", "torch_optimizer", "torch_optimizer_tensors"])
            .default("safetensors")
            .describe("The latter two are for optimizers that torch.optim has."),
        }),
        response: {
          200: {
            description: "A safetensors file; with `torch_optimizer` JSON.",
            content: {
              "application/octet-stream": { schema: z.custom<Uint8Array>().meta({ type: "string", format: "binary" }) },
              "application/json": { schema: TorchOptimizer },
            },
          },
          ...problems("not_found"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const { id, step } = params;
      if (query.format === "torch_optimizer") {
        const found = await store.jobs.checkpointHead(owner, id, step);
        return torchOptimizer(await jobOf(owner, id), present(found).head);
      }
      const file = present(await store.jobs.checkpointBytes(owner, id, step));
      reply.type("application/octet-stream");
      return reply.send(query.format === "safetensors" ? file : await torchTensors(await jobOf(owner, id), file));
    },
  );
};

function present<T>(found: T | null): T {
  if (found === null)
    throw notFound("There is no such checkpoint (any more). The job's list of checkpoints says which there are.");
  return found;
}
