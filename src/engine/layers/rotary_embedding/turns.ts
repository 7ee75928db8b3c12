import type { Kernels } from "../../kernels/kernels.ts";
import { size } from "../../member/shape.ts";
import type { Layer, LayerPlace } from "../layer.ts";

/** What is turned: of each position's heads of `dim` numbers the first `turned`. */
export interface Turns {
  readonly base: number;
  readonly dim: number;
  readonly turned: number;
}

/** Bytes of scratch for the table of angles. */
export const turnScratch = (time: number, dim: number): number => time * dim * 4;

/** The passes over samples [time, …]. The gradient is turned back. */
export function turns(kernels: Kernels, { base, dim, turned }: Turns, place: LayerPlace): Layer {
  const [{ address: x, gradient: dx, shape }] = place.inputs;
  const { address: y, gradient: dy } = place.output;
  const [time, ...rest] = shape;
  const heads = size(rest) / dim;
  const half = dim / 2;
  const [cosines, sines] = [place.scratch, place.scratch + time * half * 4];
  kernels.rotary_table(cosines, sines, time, half, base);
  // The scratch serves other layers too.
  const table = kernels.f32.slice(cosines / 4, cosines / 4 + time * dim);
  const turn = (from: number, to: number, begin: number, end: number, back: number) => {
    kernels.f32.set(table, cosines / 4);
    for (let sample = begin; sample < end; sample++) {
      const at = sample * size(shape) * 4;
      kernels.rotary_turn(from + at, to + at, cosines, sines, time, heads, turned, half, back);
    }
  };
  return {
    forward: (_weights, begin, end) => turn(x, y, begin, end, 0),
    backward: (_weights, begin, end) => turn(dy, dx, begin, end, 1),
  };
}
