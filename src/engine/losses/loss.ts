import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import type { TargetKind } from "../training.ts";

/**
 * What a loss is. It runs by samples, like a layer, and leaves one value per term in a buffer that
 * the crew adds up in canonical order. The divisor of the mean depends on the targets alone and is
 * computed before the forward pass.
 */
export interface LossType<O extends Options = Options> extends Description {
  readonly options: O;
  /** True if it has one term for each output, and the mean is over all of them (elementwise.ts). */
  readonly elementwise?: boolean;
  /** What the targets are: class indices (int32), or values or probabilities (float32). */
  readonly targets: TargetKind;
  /**
   * How many model outputs it wants: one per class, or one per target value.
   * @throws LossFault where the target is not of its kind.
   */
  outputs(target: { readonly classes: number | null; readonly width: number }): number;
  /** Terms per sample: 1 if the loss is one number a sample, else the number of outputs. */
  terms(outputs: number): number;
  /** @throws LossFault where an option does not fit the number of outputs. */
  check?(options: ValuesOf<O>, outputs: number): void;
  /** Options that name classes have been checked against the target's. */
  create(kernels: Kernels, options: ValuesOf<O>, place: LossPlace): Loss;
}

/** Where the buffers lie (byte addresses). */
export interface LossPlace {
  /** Predictions and their gradient, float32 [batch, outputs]. */
  readonly prediction: number;
  readonly gradient: number;
  /** int32 [batch] class indices, or float32 [batch, outputs]. */
  readonly target: number;
  /**
   * Whether a loss over classes finds float32 [batch, outputs] class probabilities there instead of
   * indices.
   */
  readonly probabilities?: boolean;
  /** The unscaled terms, float32 [batch, terms]. */
  readonly terms: number;
  readonly outputs: number;
  /** Class names in order, for options that name classes; null for values. */
  readonly classes: readonly string[] | null;
  /**
   * Room for constants of the loss (class weights), float32 [2 * outputs], written by `create`
   * through `kernels.f32`.
   */
  readonly constants: number;
}

export interface Loss {
  /**
   * The divisor of the mean over `samples` samples: a function of their targets, which `target`
   * tells by number, summed in double in ascending order. 0 if none of them counts; a mean over
   * nothing else is 0.
   */
  divisor(samples: number, target: (sample: number) => number): number;
  /**
   * Writes terms of samples begin..end and, if `scale` is not 0, the gradient of scale × (sum of
   * terms).
   */
  run(begin: number, end: number, scale: number): void;
}

/** A loss that does not fit its target; becomes a 422 that names the option. */
export class LossFault extends Error {
  readonly option: string | null;
  constructor(option: string | null, message: string) {
    super(message);
    this.option = option;
  }
}

export function defineLoss<const O extends Options>(type: LossType<O>): LossType<O> {
  return type;
}
