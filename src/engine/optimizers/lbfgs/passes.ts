import type { Kernels } from "../../kernels/kernels.ts";
import type { ParameterTensor, Pass } from "../optimizer.ts";

/*
 * The vectors of L-BFGS span all parameters of the model. Its arithmetic is a few operations on
 * them, and each operation is a pass. Sums come out in `totals` once the pass has settled. A vector
 * is named by its place in the optimizer's state.
 *
 * A pass is one object however often it runs, because the crew remembers which thread runs which
 * part of it. Its operands (which vectors, by what factor) are set each time it is asked for:
 * `yield vectors.scale(D, 2)`.
 */

export const D = 0;
export const PREVIOUS = 1;
export const OLD_DIRS = 2;
export const OLD_STPS = 3;
export const X_INIT = 4;

/** What a pass works on. */
interface Operands {
  vector: number;
  /** The list of the history that a vector is taken from, and the vector's place in it. */
  other: number;
  place: number;
  factor: number;
}

export function vectorPasses(kernels: Kernels) {
  const totals = [0, 0];
  const now: Operands = { vector: D, other: OLD_DIRS, place: 0, factor: 0 };
  const about = (pass: Pass, operands: Partial<Operands>): Pass => {
    Object.assign(now, operands);
    return pass;
  };
  const at = ({ state, length }: ParameterTensor, vector: number, begin: number, place = 0) =>
    state[vector] + (place * length + begin) * 4;
  /** A pass that takes sums: `take` returns those of a slice. */
  const summing = (
    sums: number,
    take: (tensor: ParameterTensor, begin: number, count: number) => readonly number[],
  ): Pass => ({
    sums,
    run: (tensor, begin, end, address) => kernels.f64.set(take(tensor, begin, end - begin), address >>> 3),
    settle: ([first, second]) => {
      totals[0] = first;
      totals[1] = second;
    },
  });
  const largest = (address: (tensor: ParameterTensor, begin: number) => number): Pass => ({
    ...summing(1, (tensor, begin, count) => [kernels.norm_part(address(tensor, begin), count, Infinity)]),
    reduce: "largest",
  });

  const dot = summing(1, (tensor, begin, count) => [
    kernels.lbfgs_dot(at(tensor, now.vector, begin), at(tensor, now.other, begin, now.place), count),
  ]);
  const curvature = summing(2, (tensor, begin, count) => {
    const gradient = tensor.gradient + begin * 4;
    const [previous, d] = [at(tensor, PREVIOUS, begin), at(tensor, D, begin)];
    return [
      kernels.lbfgs_change_dot(gradient, previous, d, count) * now.factor,
      kernels.lbfgs_change_square(gradient, previous, count),
    ];
  });
  const add: Pass = {
    run(tensor, begin, end) {
      const to = at(tensor, now.vector, begin);
      kernels.lbfgs_add(to, to, at(tensor, now.other, begin, now.place), end - begin, now.factor);
    },
  };
  const scale: Pass = {
    run(tensor, begin, end) {
      const to = at(tensor, now.vector, begin);
      kernels.lbfgs_scale(to, to, end - begin, now.factor);
    },
  };
  const remember: Pass = {
    run(tensor, begin, end) {
      const [y, s] = [at(tensor, OLD_DIRS, begin, now.place), at(tensor, OLD_STPS, begin, now.place)];
      kernels.lbfgs_add(y, tensor.gradient + begin * 4, at(tensor, PREVIOUS, begin), end - begin, -1);
      kernels.lbfgs_scale(s, at(tensor, D, begin), end - begin, now.factor);
    },
  };
  const negateGradient: Pass = {
    run: (tensor, begin, end) =>
      kernels.lbfgs_scale(at(tensor, D, begin), tensor.gradient + begin * 4, end - begin, -1),
  };
  const keepWeights: Pass = {
    run(tensor, begin, end) {
      const { weight } = tensor;
      kernels.u8.copyWithin(at(tensor, X_INIT, begin), weight + begin * 4, weight + end * 4);
    },
  };
  const advance: Pass = {
    run(tensor, begin, end) {
      const to = tensor.weight + begin * 4;
      kernels.lbfgs_add(to, to, at(tensor, D, begin), end - begin, now.factor);
    },
  };
  const moveTo: Pass = {
    run(tensor, begin, end) {
      const to = tensor.weight + begin * 4;
      kernels.lbfgs_add(to, at(tensor, X_INIT, begin), at(tensor, D, begin), end - begin, now.factor);
    },
  };

  const vectors = {
    /** totals[0] = the largest element of the gradient. */
    largestGradient: largest(({ gradient }, begin) => gradient + begin * 4),
    /** totals[0] = the largest element of d. */
    largestDirection: largest((tensor, begin) => at(tensor, D, begin)),
    /** totals[0] = ⟨gradient, d⟩ */
    slope: summing(1, (tensor, begin, count) => [
      kernels.lbfgs_dot(tensor.gradient + begin * 4, at(tensor, D, begin), count),
    ]),
    /**
     * Keeps the gradient. totals = ⟨gradient, d⟩, and the sum of the absolute values of the
     * gradient.
     */
    keepGradient: summing(2, (tensor, begin, count) => {
      const gradient = tensor.gradient + begin * 4;
      kernels.u8.copyWithin(at(tensor, PREVIOUS, begin), gradient, gradient + count * 4);
      return [kernels.lbfgs_dot(gradient, at(tensor, D, begin), count), kernels.norm_part(gradient, count, 1)];
    }),
    keepWeights,
    /** d = −gradient */
    negateGradient,
    /** totals[0] = ⟨vector, one of the history⟩ */
    dot: (vector: number, other: number, place: number) => about(dot, { vector, other, place }),
    /** vector = vector + factor × one of the history */
    add: (vector: number, other: number, place: number, factor: number) => about(add, { vector, other, place, factor }),
    /** vector = factor × vector */
    scale: (vector: number, factor: number) => about(scale, { vector, factor }),
    /** totals = ⟨y, s⟩ and ⟨y, y⟩, where y is the change of the gradient and s = step × d. */
    curvature: (step: number) => about(curvature, { factor: step }),
    /** Writes y and s into the history. */
    remember: (place: number, step: number) => about(remember, { place, factor: step }),
    /** weights = weights + step × d */
    advance: (step: number) => about(advance, { factor: step }),
    /** weights = kept weights + step × d */
    moveTo: (step: number) => about(moveTo, { factor: step }),
  };
  return { vectors, totals };
}
