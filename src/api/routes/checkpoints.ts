import { z } from "zod";
import { CheckpointList, JobId } from "../../spec/wire.ts";
import { notFound } from "../plugins/problems.ts";
import { numberCursor, pageQuery, queryInteger } from "../requests.ts";
import { bytes, json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const checkpoints: Routes = async (app, { store }) => {
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
          "The whole state as one safetensors file: weights, moment estimates and, in its metadata, everything else needed to go on.",
        params: z.object({ id: JobId, step: queryInteger(z.int().min(0)) }),
        response: { 200: bytes("application/octet-stream", "A safetensors file."), ...problems("not_found") },
      },
    },
    async (request, reply) => {
      const { id, step } = request.params;
      const file = await store.jobs.checkpointBytes(request.owner, id, step);
      if (file === null) throw notFound("There is no such checkpoint (any more).");
      return reply.type("application/octet-stream").send(file);
    },
  );
};
