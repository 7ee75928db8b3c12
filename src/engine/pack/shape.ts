import { batchesPerStep, type TrainingJob } from "../job.ts";
import { functionKernels, MODULE_BYTES } from "../kernels/kernels.ts";
import { layers } from "../layers/registry.generated.ts";
import { losses } from "../losses/registry.generated.ts";
import { configure } from "../optimizers/configure.ts";
import type { Pass } from "../optimizers/optimizer.ts";
import type { Plan } from "../plan/model.ts";
import { scheduleType } from "../schedules/learning-rate.ts";
import { exactJson } from "../state/numbers.ts";
import { SMALL_BYTES } from "../state/state.ts";
import { lossWeightsOf } from "../training.ts";
import { rewindOf } from "../watch/rewind.ts";
import { LANES } from "./face.ts";

/*
 * Which jobs can be trained in a pack, and which of them together. A pack has jobs of one plan that
 * make the same steps at the same rates: they may differ in their rows, their seeds, their
 * detectors, and in when they log, evaluate and stop early.
 *
 * A job is trained alone if something in a step is not done to every number by itself: if its
 * optimizer, or clipping, sums up a tensor or a part of one; if a layer or loss has kernels without
 * a form for packs; if its rows have weights, are changed at random, or come in several batches a
 * step; if noise is added to gradients; if it is observed; if its rate follows its own metric, or
 * is tested; if it may be rewound.
 */

/** `plan`: the job's, for one thread. */
export function packs(plan: Plan, job: TrainingJob): boolean {
  return (
    // One model lies below the pack, and its last state is written there.
    plan.memoryBytes <= LANES * MODULE_BYTES &&
    plan.addresses.stateBytes <= SMALL_BYTES &&
    plan.nodes.every(({ member }) => layers[member.type].elementwise || layers[member.type].packs) &&
    (losses[job.loss.type].elementwise === true || losses[job.loss.type].packs === true) &&
    plan.groups.every(({ optimizer }) => updatesElements(configure(optimizer).create(functionKernels()))) &&
    takesNoSums(job.training) &&
    batchesPerStep(job.training) === 1 &&
    lossWeightsOf(job.data) === undefined &&
    !job.augment &&
    !job.observe &&
    scheduleType(job.schedule).follow === undefined &&
    scheduleType(job.schedule).tests === undefined &&
    rewindOf(job) === null
  );
}

/** Jobs with the same plan and the same key may share a pack. */
export function packKey({ schedule, training, data }: TrainingJob): string {
  const { batch_size, drop_last, epochs, clip_grad_value, averaging } = training;
  return exactJson([schedule, batch_size, drop_last, epochs, clip_grad_value, averaging, data.target.classes]);
}

function takesNoSums({ clip_grad_norm, clip_grad_adaptive, gradient_noise }: TrainingJob["training"]): boolean {
  return clip_grad_norm === null && !clip_grad_adaptive && !gradient_noise;
}

/** Whether an optimizer has a single pass, which by its contract looks at one element at a time. */
function updatesElements({ passes, search }: { passes: readonly Pass[]; search?: unknown }): boolean {
  if (search !== undefined || passes.length !== 1) return false;
  const [{ over = "slices", sums = 0, covers }] = passes;
  return over === "slices" && sums === 0 && covers === undefined;
}
