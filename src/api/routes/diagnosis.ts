import { z } from "zod";
import { Diagnosis } from "../../contract/schema/diagnosis.ts";
import { JobId } from "../../contract/wire/common.ts";
import { sendJsonTagged } from "../etag.ts";
import { json, notModified, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { notOneModel } from "../served-model.ts";
import { noSuchJob } from "./jobs.ts";

export const diagnosis: Routes = async (app, { store }) => {
  app.get(
    "/v1/jobs/:id/diagnosis",
    {
      schema: {
        tags: ["jobs"],
        operationId: "getDiagnosis",
        summary: "Read why a job's training goes wrong",
        description: "What the detectors of its spec have found so far: causes, remedies and the numbers behind them.",
        params: z.object({ id: JobId }),
        response: { 200: json(Diagnosis, "The diagnosis."), 304: notModified, ...problems("not_found") },
      },
    },
    async (request, reply) => {
      const { owner, params } = request;
      const [found, set] = await Promise.all([
        store.jobs.diagnosis(owner, params.id),
        store.sets.find(owner, params.id),
      ]);
      if (set !== null) throw notOneModel();
      if (found === null) throw noSuchJob();
      return sendJsonTagged(request, reply, found);
    },
  );
};
