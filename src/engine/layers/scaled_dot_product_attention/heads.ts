import type { Kernels } from "../../kernels/kernels.ts";
import { LayerFault, type ForwardPass, type Layer, type Value } from "../layer.ts";

/** A thread's scratch: the panel of the products, two tiles of 64 × 64, and 64 numbers twice. */
export const ATTENTION_SCRATCH_BYTES = 8192 + 2 * 64 * 64 * 4 + 2 * 64 * 4;

/** Where the heads of queries, keys, values or outputs lie; distances in bytes. */
export interface HeadsPlace {
  readonly address: number;
  readonly gradient: number;
  /** From a sample to the next, from a head to the next, and from a position to the next. */
  readonly sample: number;
  readonly head: number;
  readonly row: number;
}

export interface Attention {
  readonly q: HeadsPlace;
  readonly k: HeadsPlace;
  readonly v: HeadsPlace;
  readonly y: HeadsPlace;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  /** Numbers in a query and a key, and in a value. */
  readonly size: number;
  readonly valueSize: number;
  readonly scale: number;
  readonly causal: boolean;
  readonly mask: Mask | null;
  readonly dropout: Dropout;
}

/** Its probability, and the stream of its random numbers. */
export interface Dropout {
  readonly p: number;
  readonly stream: number;
}

/**
 * Of int32, 0 where a key must not be seen; distances in bytes, 0 from a query to the next if all
 * see the same.
 */
export interface Mask {
  readonly address: number;
  readonly sample: number;
  readonly row: number;
}

/** The passes of attention; `saved` holds a number for each query of each head. */
export function attention(kernels: Kernels, of: Attention, saved: number, scratch: number): Layer {
  const { q, k, v, y, heads, queries, mask } = of;
  const sizes = [queries, of.keys, of.size, of.valueSize, q.row, k.row, v.row, y.row] as const;
  const at = ({ sample, head }: HeadsPlace, i: number, h: number) => i * sample + h * head;
  const restOf = (i: number, h: number) => saved + (i * heads + h) * queries * 4;
  const how = (i: number) => {
    const masked = mask === null ? 0 : mask.address + i * mask.sample;
    return [of.scale, Number(of.causal), masked, mask?.row ?? 0, scratch] as const;
  };
  const { p, stream } = of.dropout;
  const blocks = queries * Math.ceil(of.keys / 4);
  const drop = (i: number, h: number, { training, batch, seedLow, seedHigh }: ForwardPass) =>
    kernels.attention_dropout(training ? p : 0, ((i * heads + h) * blocks) % 2 ** 32, batch, stream, seedLow, seedHigh);
  const gradient = (place: HeadsPlace, i: number, h: number) =>
    place.gradient === 0 ? 0 : place.gradient + at(place, i, h);
  return {
    forward(_weights, begin, end, pass) {
      for (let i = begin; i < end; i++) {
        for (let h = 0; h < heads; h++) {
          drop(i, h, pass);
          const [queryAt, keyAt, valueAt] = [q, k, v].map((place) => place.address + at(place, i, h));
          const out = y.address + at(y, i, h);
          kernels.attention_forward(queryAt, keyAt, valueAt, out, restOf(i, h), ...sizes, ...how(i));
        }
      }
    },
    backward(_weights, begin, end, pass) {
      for (let i = begin; i < end; i++) {
        for (let h = 0; h < heads; h++) {
          drop(i, h, pass);
          const [queryAt, keyAt, valueAt, out] = [q, k, v, y].map((place) => place.address + at(place, i, h));
          const [dq, dk, dv] = [q, k, v].map((place) => gradient(place, i, h));
          const slope = gradient(y, i, h);
          kernels.attention_backward(
            queryAt,
            keyAt,
            valueAt,
            out,
            slope,
            restOf(i, h),
            dq,
            dk,
            dv,
            ...sizes,
            ...how(i),
          );
        }
      }
    },
  };
}

/**
 * Checks a mask, which is [keys] or [queries, keys].
 * @throws LayerFault
 */
export function checkMask({ shape, type }: Value, queries: number, keys: number): void {
  if (type !== "int32") throw new LayerFault(null, `takes a mask of integers, but its mask is ${type}`);
  if (String(shape) === String([keys]) || String(shape) === String([queries, keys])) return;
  const wanted = `[${keys}] or [${queries}, ${keys}]`;
  throw new LayerFault(null, `takes a mask of shape ${wanted}, but its mask is [${shape.join(", ")}]`);
}

/** Where the mask of `keys` keys lies. */
export function maskPlace({ address, shape, size }: { address: number; shape: readonly number[]; size: number }): Mask {
  return { address, sample: size * 4, row: shape.length === 1 ? 0 : shape[1] * 4 };
}
