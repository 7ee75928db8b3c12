import { z } from "zod";
import type { MetricRow } from "../../store/record.ts";
import { SeriesName } from "../../spec/series.ts";
import { JobId, MetricSeries, type Series } from "../../spec/wire.ts";
import { downsample } from "../downsample.ts";
import { commaSeparated, queryInteger } from "../requests.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

const step = queryInteger(z.int().min(0).optional());

const query = z.strictObject({
  names: commaSeparated(SeriesName)
    .optional()
    .describe("Which series, separated by commas; all that there are if left out.")
    .meta({ examples: ["train_loss,valid_loss"] }),
  from_step: step.describe("The first step wanted."),
  to_step: step.describe("The last step wanted."),
  max_points: queryInteger(z.int().min(2).max(10_000).default(1000)).describe(
    "A longer series is thinned to this many points; its ends and extremes stay.",
  ),
});

export const metrics: Routes = async (app, { store }) => {
  app.get(
    "/v1/jobs/:id/metrics",
    {
      schema: {
        tags: ["jobs"],
        operationId: "getMetrics",
        summary: "Read a job's curves",
        params: z.object({ id: JobId }),
        querystring: query,
        response: { 200: json(MetricSeries, "The series."), ...problems("not_found") },
      },
    },
    async (request) => {
      const { names, from_step, to_step, max_points } = request.query;
      const { id } = request.params;
      const rows = await store.jobs.metrics(request.owner, id, from_step, to_step);
      if (rows === null) throw noSuchJob();
      const series = Object.entries(seriesOf(rows, names));
      return {
        job_id: id,
        series: Object.fromEntries(series.map(([name, curve]) => [name, downsample(curve, max_points)])),
      };
    },
  );
};

/** The series that have any values; a row holds only what was measured at its step. */
function seriesOf(rows: readonly MetricRow[], wanted: readonly SeriesName[] | undefined): Record<string, Series> {
  const series: Record<string, Series> = {};
  for (const row of rows) {
    for (const name of wanted ?? Object.keys(row)) {
      const value = row[name];
      if (value === undefined || name === "step") continue;
      const { steps, values } = (series[name] ??= { steps: [], values: [] });
      steps.push(row.step);
      values.push(value);
    }
  }
  return series;
}
