import type { Kernels } from "../kernels/kernels.ts";
import type { Description, OptionFault, Options, ValuesOf } from "../member/options.ts";
import type { Shape } from "../member/shape.ts";
import type { TorchForm } from "./torch.ts";

/*
 * What an optimizer is: a declaration and a short program of passes.
 *
 * A step is `begin`, and then each pass over all parameters. `begin` computes scalars in double;
 * every thread computes the same ones. Between two passes there is a barrier. A pass runs on slices
 * of the tensors, on their rows, or on whole tensors. The crew decides which thread runs which, so
 * a pass may look at nothing but the elements it is given. What it needs to know of other elements
 * comes from the pass before it: sums, which the crew adds up in a fixed order. An optimizer with a
 * single pass and no sums runs on each tile of the gradient while the tile is in cache, without a
 * barrier.
 *
 * An optimizer that searches for its step (L-BFGS) has a `search` instead of passes. It may move
 * the weights and ask for the loss and the gradient there, as often as it likes.
 */

/** A library whose names, defaults and arithmetic an optimizer may have. */
export type Dialect = "torch" | "keras" | "optax";

/** An optimizer's options, those that are optimizers themselves configured. */
export type Configured<O extends Options> = ValuesOf<O, ConfiguredOptimizer>;

export interface OptimizerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** PyTorch's by default. Optimizers that PyTorch lacks have names in its style. */
  readonly dialect?: Dialect;
  /** The names of options in this dialect, by their names in the default dialect. */
  readonly names?: Readonly<Record<string, string | readonly string[]>>;
  /**
   * The options under their names in the default dialect, completed by those that this dialect
   * lacks.
   */
  translate?(options: Configured<O>): ValuesOf<Options>;
  /**
   * The option that a schedule moves, `lr` by default: a learning rate, or an inner optimizer whose
   * rate is moved.
   */
  readonly rate?: keyof O & string;
  /**
   * True if the weights that are evaluated and served are not those that are trained. Then `create`
   * gives an `evaluate`.
   */
  readonly evaluatesOthers?: boolean;
  /**
   * The option that is replaced at every step by a schedule that cycles the momentum (of `betas`
   * the first), or the inner optimizer that has it; its name in the default dialect. `begin` then
   * uses its argument `momentum`. Optimizers without such an option refuse these schedules.
   */
  readonly cycledOption?: keyof O & string;
  /**
   * True if the loss must be the same function of the weights at every evaluation: full batches and
   * nothing random.
   */
  readonly fullBatch?: boolean;
  /**
   * True if a step depends on sums over the whole model, so that no part of the model can have
   * options of its own.
   */
  readonly wholeModel?: boolean;
  /**
   * Whether a step leaves alone what has no gradient: the rows of a table that no batch of the step
   * uses. It then has a single pass without sums, which is given the other rows only.
   */
  sparse?(options: Configured<O>): boolean;
  /** The form of this optimizer in torch.optim, if it is there. */
  readonly torch?: TorchForm<O>;
  /**
   * The float32 tensors that are kept for a parameter of this shape, under PyTorch's names. They do
   * not depend on lr and weight_decay. The tensors of a wrapper come after those of the optimizer
   * it wraps.
   */
  state(options: Configured<O>, shape: Shape): readonly StateTensor[];
  /** Bytes of scratch memory that a thread needs for a pass over a whole tensor of this shape. */
  scratch?(options: Configured<O>, shape: Shape): number;
  /** Faults of options that are each within their bounds but do not fit together. */
  check?(options: Configured<O>): readonly OptionFault[];
  /** Faults of the shapes of a model's parameters. */
  fits?(options: Configured<O>, shapes: readonly Shape[]): readonly OptionFault[];
  create(kernels: Kernels, options: Configured<O>): Optimizer;
}

export interface StateTensor {
  readonly name: string;
  /** Its initial value: a constant, or a copy of the parameter (`z` of schedule-free). */
  readonly initial: number | "parameter";
  /** The shape of the parameter by default. */
  readonly shape?: Shape;
}

/**
 * A declaration with the options of one job. `configure` makes it of a spec's optimizer; wrappers
 * get it for the optimizer they wrap.
 */
export interface ConfiguredOptimizer {
  readonly type: OptimizerType;
  /** The base learning rate, and the path of its option: `lr`, `learning_rate`, `optimizer/lr`. */
  readonly rate: number;
  readonly rateOption: string;
  /**
   * The path of the momentum that a schedule may cycle, and whether there is a buffer for it. Null
   * if there is no such momentum.
   */
  readonly cycled: { readonly option: string; readonly kept: boolean } | null;
  /** Whether it, or an optimizer that it wraps, has a weight_decay. */
  readonly decays: boolean;
  readonly wholeModel: boolean;
  readonly sparse: boolean;
  state(shape: Shape): readonly StateTensor[];
  scratch(shape: Shape): number;
  check(): readonly OptionFault[];
  fits(shapes: readonly Shape[]): readonly OptionFault[];
  create(kernels: Kernels): Optimizer;
}

export interface Optimizer {
  /**
   * Prepares the scalars of step `t` (an integer from 1) under the learning rate `lr`. `momentum`,
   * if given, replaces the option. Every thread calls this once a step with the same arguments,
   * before any pass.
   */
  begin(t: number, lr: number, momentum?: number | null): void;
  readonly passes: readonly Pass[];
  /**
   * One step, instead of `passes`. Every thread runs it. Control flow may depend only on
   * `objective` and on sums, which are the same in all threads.
   */
  search?(objective: Objective): Iterable<Pass | typeof EVALUATE>;
  /**
   * Doubles by name that are kept from step to step and are part of the checkpoint. `begin`,
   * `settle` and `search` may change them.
   */
  readonly scalars?: Record<string, number>;
  /**
   * Writes the weights to evaluate and to serve into `tensor.evaluated`, if they are not those that
   * are trained.
   */
  evaluate?(tensor: ParameterTensor, begin: number, end: number): void;
}

/** The loss at its last evaluation. */
export interface Objective {
  readonly loss: number;
}

/** A search yields this to get the loss and the gradient at the present weights. */
export const EVALUATE = "evaluate";

export interface Pass {
  /** What one run is given: a slice of a tensor (by default), whole rows of it, or all of it. */
  readonly over?: "slices" | "rows" | "tensors";
  /** Whether the pass runs on a tensor; by default it runs on all. */
  covers?(tensor: ParameterTensor): boolean;
  /**
   * The cost of a whole tensor in multiply-adds, by which a pass over whole tensors is shared out;
   * by default its length.
   */
  cost?(tensor: ParameterTensor): number;
  /**
   * How many sums this pass takes over each tensor; by default none. Only for passes over slices.
   */
  readonly sums?: number;
  /** How the parts of a sum are combined; by default they are added. */
  readonly reduce?: "sum" | "largest";
  /**
   * Runs over elements begin..end (exclusive) of one parameter. `begin` is a multiple of 4 (aligned
   * to 16 bytes) unless the tensor is `sparse`. If the pass takes sums, `begin` is a multiple of
   * `SUM_BLOCK`, at most `SUM_BLOCK` elements are given, and the pass writes its sums to
   * `workspace` as doubles. For a pass over whole tensors `workspace` is the scratch memory of the
   * thread. A pass that has read the gradient may write over it for later passes.
   */
  run(tensor: ParameterTensor, begin: number, end: number, workspace: number): void;
  /** Gets the sums over all tensors of the pass, in every thread, once they are known. */
  settle?(totals: Readonly<Float64Array>): void;
}

/** Where a parameter and its tensors lie in the job's memory. All addresses are in bytes. */
export interface ParameterTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly length: number;
  readonly weight: number;
  readonly gradient: number;
  /** One address for each tensor of `state`, in its order. Those of a wrapper follow. */
  readonly state: readonly number[];
  /** The weights to evaluate: the same address as `weight` unless the optimizer has `evaluate`. */
  readonly evaluated: number;
  /** Whether passes are given only those of its rows that the step's batches use. */
  readonly sparse: boolean;
  /** The sums of the last pass with sums over the whole tensor. */
  readonly sums: Float64Array;
}

/**
 * Number of elements that are summed at once. It is fixed, so that a sum depends neither on threads
 * nor on slices.
 */
export const SUM_BLOCK = 4096;

/** Most sums that one pass may take over each tensor. */
export const MAX_SUMS = 4;

/** Declares an optimizer and keeps the literal types of its options. */
export function defineOptimizer<const O extends Options>(type: OptimizerType<O>): OptimizerType<O> {
  return type;
}

/** State tensors with the shape of the parameter that start at zero. */
export function zeros(...names: readonly string[]): StateTensor[] {
  return names.map((name) => ({ name, initial: 0 }));
}
