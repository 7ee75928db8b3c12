import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options, ValuesOf } from "../member/options.ts";
import { size } from "../member/shape.ts";
import type { TargetKind } from "../training.ts";
import { defineLoss, type LossPlace, type LossType } from "./loss.ts";

/** The declaration of a loss with one term per output. The rest of `LossType` follows from it. */
export interface ElementwiseLoss<O extends Options> extends Description {
  readonly options: O;
  /** By default the targets are values of any size. */
  readonly targets?: Exclude<TargetKind, "class">;
  readonly wants?: LossType<O>["wants"];
  readonly boundary?: number;
  readonly answer?: LossType<O>["answer"];
  readonly check?: LossType<O>["check"];
  readonly bind: (kernels: Kernels, options: ValuesOf<O>, place: LossPlace) => ElementwiseLossKernel;
}

/**
 * The kernel with its options bound, over `samples` samples: predictions x, targets y, terms, and
 * the gradient times `scale`. If the address of the gradient is 0, none is written.
 */
export type ElementwiseLossKernel = (
  x: number,
  y: number,
  terms: number,
  gradient: number,
  samples: number,
  scale: number,
) => void;

/** Declares a loss that compares each output with one value. Its mean is over all outputs. */
export function defineElementwiseLoss<const O extends Options>({
  bind,
  ...description
}: ElementwiseLoss<O>): LossType<O> {
  return defineLoss({
    targets: "value",
    ...description,
    elementwise: true,
    prediction: ({ shape }) => (shape.length === 0 ? [1] : shape),
    terms: size,
    create(kernels, options, place) {
      const kernel = bind(kernels, options, place);
      const bytes = place.outputs * 4;
      return {
        weighs: false,
        divisor: (_targets, count, before) => before + count,
        run(begin, end, scale) {
          const offset = begin * bytes;
          const gradient = scale === 0 || place.gradient === 0 ? 0 : place.gradient + offset;
          kernel(place.prediction + offset, place.target + offset, place.terms + offset, gradient, end - begin, scale);
        },
      };
    },
  });
}
