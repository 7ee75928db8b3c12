import { z } from "zod";
import { JobId, Progress } from "../../spec/wire.ts";
import { sendJsonTagged } from "../etag.ts";
import { json, notModified, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const progress: Routes = async (app, { store }) => {
  app.get(
    "/v1/jobs/:id/progress",
    {
      schema: {
        tags: ["jobs"],
        operationId: "getProgress",
        summary: "Poll a job's progress",
        description:
          "Send the `ETag` of the last answer as `If-None-Match`: while nothing has changed, the answer is an empty 304.",
        params: z.object({ id: JobId }),
        response: { 200: json(Progress, "How far it has come."), 304: notModified, ...problems("not_found") },
      },
    },
    async (request, reply) => {
      const found = await store.jobs.progress(request.owner, request.params.id);
      if (found === null) throw noSuchJob();
      return sendJsonTagged(request, reply, found);
    },
  );
};
