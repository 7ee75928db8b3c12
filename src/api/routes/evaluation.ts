import { z } from "zod";
import { JobId } from "../../contract/wire/common.ts";
import { Evaluation, evaluationOf, Split } from "../../contract/wire/evaluation.ts";
import { sendJsonTagged } from "../etag.ts";
import { notFound } from "../plugins/problems.ts";
import { json, notModified, problems } from "../responses.ts";
import { succeeded } from "../served-model.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const evaluation: Routes = async (app, { store }) => {
  app.get(
    "/v1/jobs/:id/evaluation",
    {
      schema: {
        tags: ["results"],
        operationId: "getEvaluation",
        summary: "Read what a trained model gets right and wrong",
        description:
          "Of the rows that validated, or of those of the test: which classes are taken for which, or how far the predictions are off. It is computed with the final weights when the job ends, so the dataset may be gone.",
        params: z.object({ id: JobId }),
        querystring: z.strictObject({ split: Split.default("valid") }),
        response: {
          200: json(Evaluation, "By class, or by column of the target."),
          304: notModified,
          ...problems("not_found", "wrong_status"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      await succeeded(store, owner, params.id);
      const found = await store.jobs.evaluation(owner, params.id);
      if (found === null) throw noSuchJob();
      const report = found.evaluation?.[query.split] ?? null;
      if (report === null) throw notFound(missing(found.evaluation !== undefined, query.split));
      return sendJsonTagged(request, reply, evaluationOf(params.id, query.split, report, found.target));
    },
  );
};

function missing(isRecorded: boolean, split: Split): string {
  if (!isRecorded) return "An earlier version trained this job and recorded no evaluation.";
  const section = split === "valid" ? "validation" : "test";
  return `No rows of this job ${section === "test" ? "were kept for a test" : "validated"}: set data.${section} in a spec.`;
}
