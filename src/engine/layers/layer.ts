import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import type { Initializer } from "../initializers/initializer.ts";
import type { Shape } from "../member/shape.ts";

/**
 * What a layer is: a declaration, the shapes it makes, and three kernels' worth of work.
 *
 * `forward` and `backward` run by samples: on samples begin..end of the batch, and nothing else.
 * `gradient` runs by parameters: over the whole batch, on rows begin..end of one parameter. The
 * crew calls them from its two phases; a layer knows nothing of threads.
 */
export interface LayerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** True if it applies one function to every element (elementwise.ts). */
  readonly elementwise?: boolean;
  /**
   * True if the gradient is 0 wherever the output is not positive, so that a unit may stop learning
   * for good; observed steps count those.
   */
  readonly mortal?: boolean;
  /**
   * Shapes for one sample (without the batch dimension). `input` may be of any rank ≥ 1. `wanted`
   * is the number of outputs that the loss asks of the last layer, and null for every other layer.
   * @throws LayerFault where the input does not fit; the option it names goes into the problem's
   * pointer.
   */
  shape(options: ValuesOf<O>, input: Shape, wanted: number | null): LayerShape;
  /** Whether the output for a sample is another at every step, by chance. */
  random?(options: ValuesOf<O>): boolean;
  create(kernels: Kernels, options: ValuesOf<O>, place: LayerPlace): Layer;
}

export interface LayerShape {
  readonly output: Shape;
  readonly parameters: readonly ParameterShape[];
  /** Options that were left to be inferred, as they came out. */
  readonly inferred?: Readonly<Record<string, unknown>>;
}

export interface ParameterShape {
  readonly name: string;
  readonly shape: Shape;
  readonly initializer: Initializer;
  /**
   * Multiply-adds that one row's gradient (the first dimension's unit) takes for one sample; the
   * crew cuts its slices by it.
   */
  readonly rowCost: number;
}

/**
 * Where a layer's buffers lie: byte addresses of [batch, …shape] float32 arrays, 64 bytes aligned.
 */
export interface LayerPlace {
  readonly input: number;
  readonly output: number;
  /**
   * Gradients with respect to input and output. `inputGradient` is 0 where none is needed (the
   * first layer).
   */
  readonly inputGradient: number;
  readonly outputGradient: number;
  /** Elements a sample has in the input and in the output. */
  readonly inputSize: number;
  readonly outputSize: number;
  readonly inputShape: Shape;
  readonly outputShape: Shape;
  /** Gradient address of each parameter, in the order of `parameters`. */
  readonly gradients: readonly number[];
  /** This layer's position in the model: the stream of its random numbers. */
  readonly index: number;
  /** Scratch of this thread alone, `SCRATCH_BYTES` long. */
  readonly scratch: number;
}

export interface Layer {
  /**
   * Computes the output of samples begin..end. `weights` are the addresses of the parameters to
   * use.
   */
  forward(weights: readonly number[], begin: number, end: number, pass: ForwardPass): void;
  /**
   * Computes the input gradient of samples begin..end from the output gradient; not called where
   * none is needed.
   */
  backward(weights: readonly number[], begin: number, end: number, pass: ForwardPass): void;
  /**
   * Computes rows begin..end of parameter number `parameter`'s gradient over the first `samples`
   * samples of the batch.
   */
  gradient?(parameter: number, begin: number, end: number, samples: number): void;
}

/** What a forward pass is for. One object, changed in place. */
export interface ForwardPass {
  training: boolean;
  /** Which batch of the training it is, from 0; random numbers hang on it. */
  batch: number;
  /** The job's seed, an integer up to 2^53 - 1, as two unsigned 32-bit halves. */
  seedLow: number;
  seedHigh: number;
}

/** A layer that does not fit its input; becomes a 422 that names the option. */
export class LayerFault extends Error {
  readonly option: string | null;
  constructor(option: string | null, message: string) {
    super(message);
    this.option = option;
  }
}

export function defineLayer<const O extends Options>(type: LayerType<O>): LayerType<O> {
  return type;
}
