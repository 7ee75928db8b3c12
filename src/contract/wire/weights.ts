/** Uploaded weights: a state_dict as a safetensors file. */
import { z } from "zod";
import { Count, list, Sha256, Time, WeightsId } from "./common.ts";

export const Weights = z
  .object({
    id: WeightsId,
    name: z.string().nullable(),
    sha256: Sha256,
    bytes: Count,
    tensors: z.array(
      z.object({
        name: z.string(),
        dtype: z.string().meta({ examples: ["F32"] }),
        shape: z.array(Count),
        taken_as: z
          .enum(["F32", "I64"])
          .nullable()
          .describe(
            "The type that a job takes it as: F16, BF16 and F64 are converted to F32. Null: a job can take no such elements.",
          ),
      }),
    ),
    created_at: Time,
  })
  .meta({ id: "Weights", description: "Weights that jobs can begin with. The bytes are kept as they came." });
export type Weights = z.infer<typeof Weights>;

export const WeightsList = list("Weights", Weights);
