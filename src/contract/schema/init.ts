/** What a job begins with instead of random weights. */
import { z } from "zod";
import { JobId, Sha256, WeightsId } from "../wire/common.ts";

const tensorName = z.string().max(1024);

const shared = {
  map: z
    .record(tensorName, tensorName)
    .default({})
    .describe(
      'From names of tensors there to names here. A name that ends with a point, or that a point follows, stands for all names that begin so: `{"backbone": "0"}` makes `backbone.weight` `0.weight`, and `{"module.": ""}` takes a prefix away. The longest that fits counts.',
    ),
  strict: z
    .boolean()
    .default(true)
    .describe(
      "Whether all tensors must be there, be wanted, and have the right shape. If false, what fits is taken, and the rest is random as in any job.",
    ),
  sha256: Sha256.nullable()
    .default(null)
    .describe(
      "Computed: the hash of the weights that the job begins with. A spec that has it is refused if they are others.",
    ),
};

export const Init = z
  .union(
    [
      z.literal("pooled"),
      z.strictObject({ weights: WeightsId, ...shared }),
      z.strictObject({
        job: JobId,
        step: z
          .union([z.int().min(0), z.enum(["final", "best"])], { error: 'must be a step, "final" or "best"' })
          .default("final")
          .describe(
            "The checkpoint: its step, or `final` for the last one of a job that has succeeded, or `best` for the best evaluation so far.",
          ),
        ...shared,
      }),
    ],
    {
      error:
        'must be null, {"weights": "w_…"} or {"job": "job_…", "step"}, with "map" and "strict"; of a set with training.pooled also "pooled"',
    },
  )
  .nullable()
  .default(null)
  .describe(
    "Uploaded weights, or those of another job, to begin with. The optimizer begins afresh. A job that begins with another's weights inherits its encoders (`data.encoders`). The job keeps a copy. `pooled`, of a set of models with `training.pooled`: each model begins with the weights of the pooled one.",
  );
/** Weights that are there when the job is posted. */
export type Init = Exclude<z.output<typeof Init>, "pooled" | null>;

/** What of these a spec begins with; null: nothing. */
export function givenInit({ init }: { readonly init?: z.output<typeof Init> }): Init | null {
  return init === undefined || init === "pooled" ? null : init;
}
