import { functionKernels } from "../kernels/kernels.ts";
import { rateAt } from "./learning-rate.ts";
import type { Schedule } from "../settings.ts";

export interface CurveInput {
  readonly schedule: Schedule;
  /** The learning rate of the optimizer. */
  readonly lr: number;
  readonly steps: number;
  readonly stepsPerEpoch: number;
}

export interface Curve {
  readonly learningRates: Float64Array;
  /** NaN at steps where the schedule does not cycle the momentum. */
  readonly momenta: Float64Array;
}

/**
 * The rate and the momentum of every step. A schedule of many parts takes a second for 100,000
 * steps, so do not call this on an event loop.
 */
export function curveOf({ schedule, lr, steps, stepsPerEpoch }: CurveInput): Curve {
  const kernels = functionKernels();
  const curve = { learningRates: new Float64Array(steps), momenta: new Float64Array(steps) };
  for (let step = 0; step < steps; step++) {
    const rate = rateAt(kernels, schedule, lr, { step, stepsPerEpoch, state: null });
    curve.learningRates[step] = rate.lr;
    curve.momenta[step] = rate.momentum ?? Number.NaN;
  }
  return curve;
}
