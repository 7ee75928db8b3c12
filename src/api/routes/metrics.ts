import { z } from "zod";
import type { Columns } from "../../store/rows.ts";
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
      for await (const rows of store.jobs.metrics(request.owner, id, from_step, to_step)) {
        found = true;
        for (const columns of rows) curves.add(columns);
        await pace.turn();
      }
      if (!found) throw noSuchJob();
      const series: Record<string, Series> = {};
      for (const [name, curve] of curves.series) {
        await pace.turn();
        series[name] = downsample(ordered(curve), max_points);
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

  add({ names, steps, values }: Columns): void {
    if (steps.length === 0) return;
    for (const name of this.#wanted ?? names) {
      const i = names.indexOf(name);
      if (i < 0) continue;
      const curve = this.series.get(name) ?? { steps: [], values: [] };
      this.series.set(name, curve);
      for (const step of steps) curve.steps.push(step);
      for (const value of values[i]) curve.values.push(Number.isFinite(value) ? value : null);
    }
  }
}

/** Of several rows that were packed together, those with other names come later. */
function ordered(curve: Series): Series {
  const { steps, values } = curve;
  if (steps.every((step, i) => i === 0 || steps[i - 1] <= step)) return curve;
  const order = [...steps.keys()].sort((a, b) => steps[a] - steps[b]);
  return { steps: order.map((i) => steps[i]), values: order.map((i) => values[i]) };
}
