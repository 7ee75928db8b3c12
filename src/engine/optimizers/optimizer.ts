import type { Kernels } from "../kernels/kernels.ts";
import type { Description, OptionFault, Options, ValuesOf } from "../options.ts";

/**
 * What an optimizer is: a declaration and a short program of passes.
 *
 * A step is `begin` (scalars, in double, computed alike by every thread) and then each pass over all parameters. A pass
 * runs on any slice of a parameter tensor; the crew decides who runs which slice, so a pass may look at nothing but the
 * elements it is given. A pass that needs more than its elements (LAMB's norms) is split in two: the first takes sums, per
 * fixed block of `SUM_BLOCK` elements; the crew adds the blocks up in a fixed order and meets at a barrier; the second finds the tensor's
 * sums in `tensor.sums`. An optimizer with a single pass without sums runs on each tile of the gradient while it is in
 * cache, without any barrier.
 */
export interface OptimizerType<O extends Options = Options> extends Description {
  readonly options: O;
  /** True if other weights are evaluated and served than those that are trained; then `create` gives an `evaluate`. */
  readonly evaluatesOthers?: boolean;
  /** Float32 tensors kept for each parameter (of its shape), under PyTorch's names. */
  state(options: ValuesOf<O>): readonly StateTensor[];
  /** What is wrong with options that are each within their bounds but do not go together. */
  check?(options: ValuesOf<O>): readonly OptionFault[];
  create(kernels: Kernels, options: ValuesOf<O>): Optimizer;
}

export interface StateTensor {
  readonly name: string;
  /** What it starts as: a constant, or a copy of the parameter (`z` of schedule-free). */
  readonly initial: number | "parameter";
}

export interface Optimizer {
  /**
   * Prepares the scalars of step `t` (from 1, an integer) under learning rate `lr`. Called once a step by every thread, with
   * equal arguments, before any pass.
   */
  begin(t: number, lr: number): void;
  readonly passes: readonly Pass[];
  /** Doubles that live as long as the run and are part of the checkpoint, by name. `begin` may change them. */
  readonly scalars?: Record<string, number>;
  /** Writes the weights to evaluate and to serve into `tensor.evaluated`, where they are not those that are trained. */
  evaluate?(tensor: ParameterTensor, begin: number, end: number): void;
}

export interface Pass {
  /** How many sums this pass takes over each tensor; 0: none. */
  readonly sums: number;
  /**
   * Runs over elements begin..end (exclusive) of one parameter. `begin` is a multiple of 4 (16 bytes aligned); of `SUM_BLOCK`
   * when the pass takes sums, and then at most `SUM_BLOCK` elements are given and `sums` is the address where the pass leaves its doubles.
   */
  run(tensor: ParameterTensor, begin: number, end: number, sums: number): void;
}

/** Where one parameter and what belongs to it lie in the job's memory; all addresses in bytes. */
export interface ParameterTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly length: number;
  readonly weight: number;
  readonly gradient: number;
  /** One address for each tensor of `state`, in its order. */
  readonly state: readonly number[];
  /** Evaluation weights; equal to `weight` unless the optimizer has `evaluate`. */
  readonly evaluated: number;
  /** The sums over the whole tensor taken by the passes before this one, in their order. */
  readonly sums: Float64Array;
}

/** Elements a sum is taken over at once: fixed, so that it depends neither on threads nor on slices. */
export const SUM_BLOCK = 4096;

/** Sums that all passes of a step together may take over each tensor. */
export const MAX_SUMS = 4;

/** Declares an optimizer; keeps the options' literal types. */
export function defineOptimizer<const O extends Options>(type: OptimizerType<O>): OptimizerType<O> {
  return type;
}
