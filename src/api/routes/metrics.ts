import { z } from "zod";
import type { MetricRow } from "../../store/record.ts";
import { SeriesName } from "../../contract/series.ts";
import { JobId } from "../../contract/wire/common.ts";
import { MetricSeries, type Series } from "../../contract/wire/metrics.ts";
import { downsample } from "../downsample.ts";
import { sendLongJson } from "../json.ts";
import { Pace } from "../pace.ts";
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
    async (request, reply) => {
      const { names, from_step, to_step, max_points } = request.query;
      const { id } = request.params;
      const pace = new Pace();
      const curves = new Curves(names);
      let found = false;
      for await (const rows of store.jobs.metricPages(request.owner, id, from_step, to_step)) {
        found = true;
        for (const row of rows) {
          await pace.turn();
          curves.add(JSON.parse(row) as MetricRow);
        }
      }
      if (!found) throw noSuchJob();
      const series: Record<string, Series> = {};
      for (const [name, curve] of curves.series) {
        await pace.turn();
        series[name] = downsample(curve, max_points);
      }
      return sendLongJson(reply, { job_id: id, series });
    },
  );
};

/** The series that have any values; a row holds only what was measured at its step. */
class Curves {
  readonly series = new Map<string, Series>();
  readonly #wanted: readonly SeriesName[] | undefined;

  constructor(wanted: readonly SeriesName[] | undefined) {
    this.#wanted = wanted;
  }

  add(row: MetricRow): void {
    for (const name of this.#wanted ?? Object.keys(row)) {
      const value = row[name];
      if (value === undefined || name === "step") continue;
      const curve = this.series.get(name) ?? { steps: [], values: [] };
      this.series.set(name, curve);
      curve.steps.push(row.step);
      curve.values.push(value);
    }
  }
}
