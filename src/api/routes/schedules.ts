import { Problem } from "../../contract/errors.ts";
import { curveOf, resolvePreview, SchedulePreview, type Curve } from "../../contract/preview.ts";
import { ScheduleCurve } from "../../contract/wire/metrics.ts";
import { positionsKept } from "../downsample.ts";
import { sendLongJson } from "../json.ts";
import { json, problems } from "../responses.ts";
import type { Routes } from "../services.ts";

export const schedules: Routes = async (app) => {
  app.post(
    "/v1/schedules/preview",
    {
      schema: {
        tags: ["catalogue"],
        operationId: "previewSchedule",
        summary: "See a schedule's curve",
        description:
          "The learning rate of each step as a job would use it, and the momentum where the schedule cycles it.",
        body: SchedulePreview,
        response: {
          200: json(ScheduleCurve, "The curve."),
          ...problems("malformed_json", "too_large", "unsupported_media_type", "invalid_spec"),
        },
      },
    },
    async (request, reply) => {
      if (request.bodyText === "")
        throw new Problem("malformed_json", "The body is empty; it must be a schedule to preview, in JSON.");
      const preview = resolvePreview(request.body);
      const curve = await curveOf(preview, reply.caller());
      return sendLongJson(reply, thinned(curve, preview.max_points ?? preview.steps));
    },
  );
};

/** Both curves at the same steps: those that either needs to keep its shape. */
function thinned({ learningRates, momenta }: Curve, maxPoints: number): ScheduleCurve {
  const steps = keptSteps({ learningRates, momenta }, maxPoints);
  return {
    steps,
    learning_rate: steps.map((step) => learningRates[step]),
    momentum: momenta && steps.map((step) => (Number.isNaN(momenta[step]) ? null : momenta[step])),
  };
}

function keptSteps({ learningRates, momenta }: Curve, maxPoints: number): number[] {
  if (learningRates.length <= maxPoints) return [...learningRates.keys()];
  if (momenta === null) return positionsKept(learningRates, maxPoints);
  const each = Math.floor(maxPoints / 2);
  const either = new Set([...positionsKept(learningRates, each), ...positionsKept(momenta, each)]);
  return [...either].sort((a, b) => a - b);
}
