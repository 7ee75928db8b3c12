import type { LossType } from "../../../src/engine/losses/loss.ts";
import { Bench } from "../../support/kernels.ts";

export interface LossInput {
  readonly options: Readonly<Record<string, unknown>>;
  readonly prediction: ArrayLike<number>;
  /** Class indices, or as many values as there are predictions. */
  readonly target: ArrayLike<number>;
  readonly outputs: number;
  readonly probabilities?: boolean;
  /** What the gradient is multiplied by; "mean" divides by the divisor. */
  readonly scale?: number | "mean";
  /** Where to cut the samples. */
  readonly slabs?: readonly number[];
}

/** Every loss under test has classes named by their index. */
export const classNames = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** What the buffers hold before a loss writes to them. */
export const UNTOUCHED = -12345;

export function runLoss(type: LossType, input: LossInput) {
  const { prediction, target, outputs, probabilities = false } = input;
  const bench = new Bench(prediction.length * 16 + outputs * 8 + 4096);
  const samples = prediction.length / outputs;
  const terms = samples * type.terms([outputs]);
  const place = {
    prediction: bench.floats(prediction),
    gradient: bench.floats(new Float32Array(prediction.length).fill(UNTOUCHED)),
    target: type.targets === "class" && !probabilities ? bench.integers(target) : bench.floats(target),
    probabilities,
    terms: bench.floats(new Float32Array(terms).fill(UNTOUCHED)),
    outputs,
    positions: 1,
    classes: type.targets === "class" ? classNames(outputs) : null,
    constants: bench.reserve(outputs * 8),
  };
  const loss = type.create(bench.kernels, input.options, place);
  const divisor = loss.divisor(place.target, samples * type.terms([outputs]), 0);
  const scale = input.scale === "mean" ? 1 / (divisor || 1) : (input.scale ?? 1);
  const slabs = input.slabs ?? [0, samples];
  for (let i = 1; i < slabs.length; i++) loss.run(slabs[i - 1], slabs[i], scale);
  return {
    divisor,
    terms: bench.read(place.terms, terms),
    gradient: bench.read(place.gradient, prediction.length),
    bits: [bench.bits(place.terms, terms), bench.bits(place.gradient, prediction.length)],
  };
}

/** Each number as float32 has it. */
export const fround = (values: readonly number[]): number[] => values.map(Math.fround);

/** Repeatable numbers in 0..1. */
export function numbers(count: number, seed = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => (state = (state * 48271) % 0x7fffffff) / 0x7fffffff);
}

export const everySample = (samples: number): number[] => Array.from({ length: samples + 1 }, (_, i) => i);
