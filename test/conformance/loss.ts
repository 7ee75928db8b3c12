import type { Loss, LossType } from "../../src/engine/losses/loss.ts";
import { losses } from "../../src/engine/losses/registry.generated.ts";
import { Bench } from "../support/kernels.ts";
import { isTensor, tolerance, type GoldenCase, type GoldenTensor, type Spread } from "./golden.ts";
import { translate } from "./names.ts";
import { Unsupported, type Verdict } from "./verdict.ts";

interface LossCase extends GoldenCase {
  readonly loss: string;
  readonly options: { readonly reduction: string } & Readonly<Record<string, unknown>>;
  readonly input: GoldenTensor;
  readonly target: GoldenTensor;
  readonly upstream?: GoldenTensor;
  readonly expected: { readonly float64: { readonly value: GoldenTensor; readonly grad_input: GoldenTensor } };
  readonly float32_vs_float64: { readonly value: Spread; readonly grad_input: Spread };
}

const FLOOR = 2e-6;

/** A loss' value and gradient, its terms reduced as the case says. */
export function loss(golden: LossCase, verdict: Verdict): void {
  const { reduction, ...options } = golden.options;
  const type = losses[translate(losses, "torch", golden.loss, {}).type];
  const [samples, ...sample] = samplesOf(type, golden);
  const weights = type.elementwise ? broadcast(options, sample) : options;
  const member = translate(losses, "torch", golden.loss, weights);
  const run = new Losses(type, member, { ...golden.input, shape: [samples, ...sample] }, golden.target);
  const { value, gradient } = run.reduced(reduction, golden.upstream?.data ?? []);
  const { expected, float32_vs_float64: spread } = golden;
  verdict.close("value", value, expected.float64.value.data, tolerance(FLOOR, spread.value));
  verdict.close("grad_input", gradient, expected.float64.grad_input.data, tolerance(FLOOR, spread.grad_input));
}

/**
 * The shape of the input as samples. A class loss takes one sample without its first dimension, and
 * weights of every element make one sample of all of them.
 */
function samplesOf(type: LossType, { input: { shape }, options }: LossCase): readonly number[] {
  const weights = type.elementwise ? Object.values(options).filter(isTensor) : [];
  const isOne = type.elementwise ? weights.some((weight) => weight.shape.length === shape.length) : shape.length === 1;
  return isOne ? [1, ...shape] : shape;
}

/** Each tensor among the options with an element for each output. */
function broadcast(options: Readonly<Record<string, unknown>>, shape: readonly number[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, isTensor(value) ? stretched(value, shape) : value]),
  );
}

/** As PyTorch broadcasts: dimensions are aligned at the last, and those of size 1 are repeated. */
function stretched(tensor: GoldenTensor, shape: readonly number[]): GoldenTensor {
  const own = [...Array<number>(shape.length - tensor.shape.length).fill(1), ...tensor.shape];
  const source = (i: number) => {
    let at = 0;
    for (let d = 0, rest = size(shape), left = i; d < shape.length; d++) {
      rest /= shape[d];
      at = at * own[d] + (own[d] === 1 ? 0 : Math.floor(left / rest));
      left %= rest;
    }
    return at;
  };
  const data = Array.from({ length: size(shape) }, (_, i) => tensor.data[source(i)]);
  return { ...tensor, shape: [data.length], data };
}

/**
 * The loss kernel over the rows of a case: [N, …] or, for classes, [N, C, d…], whose class
 * dimension is moved last to make N·d rows of C logits.
 */
class Losses {
  readonly #bench = new Bench();
  readonly #loss: Loss;
  readonly #samples: number;
  readonly #rows: number;
  readonly #outputs: number;
  readonly #terms: number;
  readonly #place: { readonly gradient: number; readonly terms: number; readonly target: number };
  /** Where element i of the rows lies in the case's tensors. */
  readonly #order: readonly number[];

  constructor(type: LossType, options: { type: string }, input: GoldenTensor, target: GoldenTensor) {
    const bench = this.#bench;
    const [count, ...rest] = input.shape;
    const inner = type.targets === "class" ? size(rest.slice(1)) : 1;
    this.#outputs = size(rest) / inner;
    this.#samples = count;
    this.#rows = count * inner;
    this.#order = classLast(count, this.#outputs, inner);
    this.#terms = type.terms([this.#outputs]);
    const length = input.data.length;
    const probabilities = type.targets === "class" && target.dtype !== "int32";
    const indices = target.dtype === "int32" && type.targets === "class";
    const permuted = ({ data }: GoldenTensor) => this.#order.map((at) => data[at]);
    this.#place = {
      gradient: bench.reserve(length * 4),
      terms: bench.reserve(length * 4),
      target: indices ? bench.integers(target.data) : bench.floats(permuted(target)),
    };
    this.#loss = type.create(bench.kernels, options, {
      ...this.#place,
      prediction: bench.floats(permuted(input)),
      probabilities,
      outputs: this.#outputs,
      positions: 1,
      classes: type.targets === "class" ? Array.from({ length: this.#outputs }, (_, i) => String(i)) : null,
      constants: bench.reserve(this.#outputs * 8),
    });
  }

  reduced(reduction: string, upstream: readonly number[]): { value: readonly number[]; gradient: readonly number[] } {
    const rows = this.#rows;
    if (reduction === "none") return this.#unreduced(upstream);
    const divisors: Readonly<Record<string, () => number>> = {
      mean: () => this.#loss.divisor(this.#place.target, rows * this.#terms, 0) || 1,
      batchmean: () => this.#samples,
      sum: () => 1,
    };
    if (!(reduction in divisors)) throw new Unsupported(`reduction=${reduction}`);
    const divisor = divisors[reduction]();
    this.#loss.run(0, rows, 1 / divisor);
    const sum = this.#bench.kernels.sum_f32(this.#place.terms, rows * this.#terms);
    return { value: [sum / divisor], gradient: this.#inOrder(this.#read(this.#place.gradient, 0, this.#order.length)) };
  }

  /** Every term by itself, its gradient scaled by what comes from above. */
  #unreduced(upstream: readonly number[]): { value: readonly number[]; gradient: readonly number[] } {
    const value: number[] = [];
    const gradient: number[] = [];
    const perTerm = this.#outputs / this.#terms;
    for (let term = 0; term < this.#rows * this.#terms; term++) {
      const sample = Math.floor(term / this.#terms);
      this.#loss.run(sample, sample + 1, upstream[term]);
      value.push(...this.#read(this.#place.terms, term, 1));
      gradient.push(...this.#read(this.#place.gradient, term * perTerm, perTerm));
    }
    return { value, gradient: this.#inOrder(gradient) };
  }

  #read(address: number, begin: number, length: number): number[] {
    return Array.from(this.#bench.read(address + begin * 4, length));
  }

  #inOrder(rows: readonly number[]): readonly number[] {
    const values: number[] = Array(rows.length).fill(0);
    this.#order.forEach((at, i) => (values[at] = rows[i]));
    return values;
  }
}

function classLast(count: number, classes: number, inner: number): number[] {
  return Array.from({ length: count * classes * inner }, (_, i) => {
    const row = Math.floor(i / classes);
    return (Math.floor(row / inner) * classes + (i % classes)) * inner + (row % inner);
  });
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
