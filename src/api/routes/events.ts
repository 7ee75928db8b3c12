import { z } from "zod";
import { EventList, JobId } from "../../spec/wire.ts";
import { numberCursor, pageQuery } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const events: Routes = async (app, { store }) => {
  app.get(
    "/v1/jobs/:id/events",
    {
      schema: {
        tags: ["jobs"],
        operationId: "listEvents",
        summary: "List what happened to a job, oldest first",
        params: z.object({ id: JobId }),
        querystring: z.strictObject(pageQuery(numberCursor)),
        response: { 200: json(EventList, "A page."), ...problems("invalid_parameter", "not_found") },
      },
    },
    async (request) => {
      const page = await store.jobs.events(request.owner, request.params.id, request.query);
      if (page === null) throw noSuchJob();
      return page;
    },
  );
};
