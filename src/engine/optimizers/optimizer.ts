import type { Kernels } from "../kernels/kernels.ts";
import type { Description, OptionFault, Options, ValuesOf } from "../member/options.ts";
import type { Shape } from "../member/shape.ts";
import type { TorchForm } from "./torch.ts";

/*
 * What an optimizer is: a declaration and a short program of passes.
 *
 * A step is `begin` (scalars, in double, computed alike by every thread) and then each pass over
 * all parameters; between two passes the crew meets. A pass runs on slices of the tensors, on their
 * rows, or on whole tensors, and the crew decides who runs which: a pass may look at nothing but
 * the elements it is given. What it needs to know of other elements comes from the pass before:
 * sums, which the crew adds up in a fixed order. An optimizer with a single pass without sums runs
 * on each tile of the gradient while that is in cache, without any barrier.
 *
 * An optimizer that looks for its step (L-BFGS) has a `search` instead of passes: it may ask for
 * the loss and the gradient at the weights it has moved to, as often as it likes.
 */

/** A library whose names, defaults and arithmetic an optimizer may have. */
export type Dialect = "torch" | "keras" | "optax";

export interface OptimizerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** PyTorch's unless said otherwise; optimizers that PyTorch lacks have names in its style. */
  readonly dialect?: Dialect;
  /** What options of this name in the default dialect are called in this one. */
  readonly names?: Readonly<Record<string, string | readonly string[]>>;
  /** The options under the default dialect's names, with those that this dialect lacks. */
  translate?(options: ValuesOf<O>): ValuesOf<Options>;
  /**
   * The option that a schedule moves: a learning rate, or the optimizer whose rate it is; `lr`
   * unless said otherwise.
   */
  readonly rate?: keyof O & string;
  /**
   * True if other weights are evaluated and served than those that are trained; then `create` gives
   * an `evaluate`.
   */
  readonly evaluatesOthers?: boolean;
  /**
   * The option that a schedule which cycles the momentum replaces step by step (of `betas` the
   * first), or the optimizer that has it; its name in the default dialect. `begin` heeds its
   * `momentum` then. Optimizers without it refuse such schedules.
   */
  readonly cycledOption?: keyof O & string;
  /**
   * True if the loss must be the same function of the weights at every evaluation: full batches,
   * and nothing random.
   */
  readonly fullBatch?: boolean;
  /**
   * True if a step is worked out from sums over the whole model, so that no part of it can have
   * options of its own.
   */
  readonly wholeModel?: boolean;
  /** How torch.optim has it, if it does. */
  readonly torch?: TorchForm<O>;
  /**
   * Float32 tensors kept for a parameter of this shape, whatever lr and weight_decay, under
   * PyTorch's names. A wrapper's own come after those it wraps.
   */
  state(options: ValuesOf<O>, shape: Shape): readonly StateTensor[];
  /** Bytes of scratch that a thread needs for a pass over a whole tensor of this shape. */
  scratch?(options: ValuesOf<O>, shape: Shape): number;
  /** What is wrong with options that are each within their bounds but do not go together. */
  check?(options: ValuesOf<O>): readonly OptionFault[];
  /** What is wrong with the shapes of a model's parameters. */
  fits?(options: ValuesOf<O>, shapes: readonly Shape[]): readonly OptionFault[];
  create(kernels: Kernels, options: ValuesOf<O>): Optimizer;
}

export interface StateTensor {
  readonly name: string;
  /** What it starts as: a constant, or a copy of the parameter (`z` of schedule-free). */
  readonly initial: number | "parameter";
  /** The parameter's unless said otherwise. */
  readonly shape?: Shape;
}

/**
 * A declaration with the options of one job: what a spec's optimizer comes to (`configure`), and
 * what wrappers get of what they wrap.
 */
export interface ConfiguredOptimizer {
  readonly type: OptimizerType;
  /** The base learning rate, and where it stands: `lr`, `learning_rate`, `optimizer/lr`. */
  readonly rate: number;
  readonly rateOption: string;
  /**
   * Where the momentum stands that a schedule may cycle, and whether there is a buffer for it; null
   * if there is none.
   */
  readonly cycled: { readonly option: string; readonly kept: boolean } | null;
  /** Whether it, or one that it wraps, has a weight_decay. */
  readonly decays: boolean;
  readonly wholeModel: boolean;
  state(shape: Shape): readonly StateTensor[];
  scratch(shape: Shape): number;
  check(): readonly OptionFault[];
  fits(shapes: readonly Shape[]): readonly OptionFault[];
  create(kernels: Kernels): Optimizer;
}

export interface Optimizer {
  /**
   * Prepares the scalars of step `t` (from 1, an integer) under learning rate `lr`, and under
   * `momentum` in place of the option if one is given. Called once a step by every thread, with
   * equal arguments, before any pass.
   */
  begin(t: number, lr: number, momentum?: number | null): void;
  readonly passes: readonly Pass[];
  /**
   * One step, instead of `passes`. Every thread runs it; all control flow hangs on `objective` and
   * on sums, which all see alike.
   */
  search?(objective: Objective): Iterable<Pass | typeof EVALUATE>;
  /**
   * Doubles that live as long as the run and are part of the checkpoint, by name. `begin`, `settle`
   * and `search` may change them.
   */
  readonly scalars?: Record<string, number>;
  /**
   * Writes the weights to evaluate and to serve into `tensor.evaluated`, where they are not those
   * that are trained.
   */
  evaluate?(tensor: ParameterTensor, begin: number, end: number): void;
}

/** The loss at the weights where it was last evaluated. */
export interface Objective {
  readonly loss: number;
}

/** What a search yields to have the loss, and the gradient in its place, at the present weights. */
export const EVALUATE = "evaluate";

export interface Pass {
  /**
   * What one run is given: any slice of a tensor (unless said otherwise), whole rows of it, or all
   * of it.
   */
  readonly over?: "slices" | "rows" | "tensors";
  /** Tensors that the pass is for; all unless said otherwise. */
  covers?(tensor: ParameterTensor): boolean;
  /**
   * For a pass over whole tensors: what one costs in multiply-adds, by which they are shared out;
   * its length unless said otherwise.
   */
  cost?(tensor: ParameterTensor): number;
  /**
   * How many sums this pass takes over each tensor; none unless said otherwise. Only for passes
   * over slices.
   */
  readonly sums?: number;
  /** How the parts of a sum come together; added unless said otherwise. */
  readonly reduce?: "sum" | "largest";
  /**
   * Runs over elements begin..end (exclusive) of one parameter. `begin` is a multiple of 4 (16
   * bytes aligned); of `SUM_BLOCK` when the pass takes sums, and then at most `SUM_BLOCK` elements
   * are given and `workspace` is the address where the pass leaves its doubles. For a pass over
   * whole tensors `workspace` is the thread's scratch. Once the gradient has been read its place is
   * free for the passes to come.
   */
  run(tensor: ParameterTensor, begin: number, end: number, workspace: number): void;
  /**
   * Told, in every thread, of the pass' sums over all the tensors it covers, once they are known.
   */
  settle?(totals: Readonly<Float64Array>): void;
}

/** Where one parameter and what belongs to it lie in the job's memory; all addresses in bytes. */
export interface ParameterTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly length: number;
  readonly weight: number;
  readonly gradient: number;
  /** One address for each tensor of `state`, in its order; a wrapper's follow. */
  readonly state: readonly number[];
  /** Evaluation weights; equal to `weight` unless the optimizer has `evaluate`. */
  readonly evaluated: number;
  /** The sums over the whole tensor that the last pass with sums took. */
  readonly sums: Float64Array;
}

/**
 * Elements a sum is taken over at once: fixed, so that it depends neither on threads nor on slices.
 */
export const SUM_BLOCK = 4096;

/** Sums that one pass may take over each tensor. */
export const MAX_SUMS = 4;

/** Declares an optimizer; keeps the options' literal types. */
export function defineOptimizer<const O extends Options>(type: OptimizerType<O>): OptimizerType<O> {
  return type;
}

/** State tensors of the parameter's shape that start at zero. */
export function zeros(...names: readonly string[]): StateTensor[] {
  return names.map((name) => ({ name, initial: 0 }));
}
