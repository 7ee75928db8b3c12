import type { Kernels } from "../kernels/kernels.ts";
import { elementwisePack } from "../kernels/pack.generated.ts";
import type { Plan } from "../plan/model.ts";

/*
 * The kernels of a pack, with the face of the kernels of one model.
 *
 * A pack trains up to 16 models of one plan. What a model of the plan has at the address a, the
 * pack has at 16 a: the number of every model, one after another. So layers, losses and optimizers
 * work on a pack as they are, with the plan's own addresses, and the face multiplies them. The
 * plan's addresses begin at MODULE_BYTES, so the pack's begin at 16 × MODULE_BYTES. The memory
 * below them has room for one model by itself (lane.ts).
 *
 * What differs from model to model and is no array of the plan lies where the pack has its control
 * words, which it does not use.
 */

/** Models of a pack: the 16 floats of the widest vectors. */
export const LANES = 16;

/** Addresses of 16 numbers, in bytes. */
export interface LanePlace {
  /** The halves of the seeds, as 32-bit words. */
  readonly seedsLow: number;
  readonly seedsHigh: number;
  /** The scales of gradients of losses that weigh their targets, as floats. */
  readonly scales: number;
  /** The divisors and the sums of the loss, as doubles. */
  readonly divisors: number;
  readonly sums: number;
}

export function lanePlace({ addresses }: Plan): LanePlace {
  const at = addresses.control * LANES;
  return { seedsLow: at, seedsHigh: at + 64, scales: at + 128, divisors: at + 192, sums: at + 320 };
}

/**
 * The kernels that `packs` (shape.ts) lets a job use. The arrays of the face are those of the whole
 * memory. Seeds are not taken from the arguments of `dropout`, nor the scale from those of
 * `cross_entropy`: each model has its own.
 */
export function packKernels(kernels: Kernels, place: LanePlace): Kernels {
  const { memory, f32, f64, i32, u8, pow, exp, log, cos } = kernels;
  const face: Partial<Kernels> = {
    memory,
    f32,
    f64,
    i32,
    u8,
    pow,
    exp,
    log,
    cos,
    ...elementwisePack(kernels),
    matmul(c, a, b, m, n, k, cRow, aRow, aStep, bRow, transposed, bias) {
      const [step, column] = transposed ? [64, 16 * bRow] : [16 * bRow, 64];
      // prettier-ignore
      kernels.pack_matmul(
        16 * c, 16 * a, 16 * b, m, n, k, 16 * cRow, 16 * aRow, 16 * aStep, step, column, 16 * bias,
      );
    },
    matmul_transposed(c, a, b, m, n, k, cRow, aRow, bRow) {
      kernels.pack_matmul(16 * c, 16 * a, 16 * b, m, n, k, 16 * cRow, 64, 16 * aRow, 16 * bRow, 64, 0);
    },
    column_sums(out, x, row, count, begin, end) {
      kernels.pack_column_sums(16 * out + 64 * begin, 16 * x + 64 * begin, 16 * row, count, end - begin);
    },
    dropout(x, y, begin, end, _low, _high, layer, step, p) {
      if (begin !== 0) throw new RangeError("a pack takes whole batches");
      kernels.pack_dropout(16 * x, 16 * y, end, place.seedsLow, place.seedsHigh, layer, step, p);
    },
    class_divisor(target, rows, weight, classes, ignored) {
      kernels.pack_class_divisor(place.divisors, 16 * target, rows, 16 * weight, classes, ignored);
      return Number.NaN;
    },
    cross_entropy(x, target, _probabilities, weight, terms, gradient, rows, classes, smoothing, ignored) {
      // prettier-ignore
      kernels.pack_cross_entropy(
        16 * x, 16 * target, 16 * weight, 16 * terms, 16 * gradient, rows, classes, smoothing, ignored, place.scales,
      );
    },
  };
  return face as Kernels;
}
