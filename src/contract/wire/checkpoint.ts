/** A job's committed states. */
import { z } from "zod";
import { Count, Metrics, Run, Sha256, Time, list } from "./common.ts";

export const Checkpoint = z
  .object({
    step: Count,
    run: Run,
    bytes: Count,
    sha256: Sha256,
    created_at: Time,
    kinds: z.array(z.enum(["start", "periodic", "final", "shutdown"])),
    metrics: Metrics,
    arithmetic_version: Count.nullable().describe(
      "The arithmetic version that computed its last step; null in checkpoints of earlier versions of the service.",
    ),
  })
  .meta({
    id: "Checkpoint",
    description: "A committed state of a job: weights, moment estimates and everything else needed to go on.",
  });
export type Checkpoint = z.infer<typeof Checkpoint>;

export const CheckpointList = list("Checkpoint", Checkpoint);
