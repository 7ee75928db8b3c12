import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import type { OutputKind, Shape } from "../member/shape.ts";
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
  /** True if it calls only kernels that packs have (pack/face.ts). Elementwise losses do. */
  readonly packs?: boolean;
  /** What the targets are: class indices (int32), or numbers of some kind (float32). */
  readonly targets: TargetKind;
  /** What it takes the outputs for. Default: numbers of any kind. */
  readonly wants?: OutputKind;
  /**
   * Over classes or probabilities: whether the loss with its default options is the log loss, so
   * that its outputs tell probabilities. Default: true.
   */
  readonly logLoss?: boolean;
  /** Over probabilities: the output above which the answer is yes. Default: 0, as of logits. */
  readonly boundary?: number;
  /**
   * What an output says in the units of the target, before a scaling of the target is undone. Over
   * probabilities that is the probability of yes. Default: the output itself.
   */
  answer?(output: number, options: ValuesOf<O>, kernels: Pick<Kernels, "exp">): number;
  /**
   * The shape of the prediction that it wants for a sample: one output for each class, at every
   * position of the target, or one for each value of the target.
   * @throws LossFault where the target is not of its kind.
   */
  prediction(target: TargetShape): Shape;
  /** How many terms a sample has, given the shape of its prediction. */
  terms(prediction: Shape): number;
  /** @throws LossFault where an option does not fit the number of outputs. */
  check?(options: ValuesOf<O>, outputs: number): void;
  /** Options that name classes have been checked against the target's. */
  create(kernels: Kernels, options: ValuesOf<O>, place: LossPlace): Loss;
}

/** What a target is for one sample. A class or value that stands alone has the shape []. */
export interface TargetShape {
  /** How many classes, or null for values. */
  readonly classes: number | null;
  readonly shape: Shape;
}

/** Where the buffers lie (byte addresses). */
export interface LossPlace {
  /**
   * Predictions and their gradient, float32 [batch, positions, outputs]. `gradient` is 0 where
   * nothing learns.
   */
  readonly prediction: number;
  readonly gradient: number;
  /** int32 [batch, positions] class indices, or float32 [batch, outputs]. */
  readonly target: number;
  /**
   * Whether a loss over classes finds float32 [batch, outputs] class probabilities there instead of
   * indices.
   */
  readonly probabilities?: boolean;
  /** The unscaled terms, float32 [batch, terms]. */
  readonly terms: number;
  readonly outputs: number;
  /** How many predictions a sample has; 1 of values. */
  readonly positions: number;
  /** Class names in order, for options that name classes; null for values. */
  readonly classes: readonly string[] | null;
  /**
   * Room for constants of the loss (class weights), float32 [2 * outputs], written by `create`
   * through `kernels.f32`.
   */
  readonly constants: number;
}

export interface Loss {
  /** The index of the class whose targets do not count, in the loss nor in metrics. */
  readonly ignored?: number;
  /**
   * Adds what `count` targets contribute to the divisor of the mean to `before`, in double and in
   * ascending order. They lie at `targets`; a loss that does not weigh them does not look at them.
   * A mean whose divisor is 0 is 0.
   */
  divisor(targets: number, count: number, before: number): number;
  /** Whether the divisor depends on what the targets are, and not on their number alone. */
  readonly weighs: boolean;
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
