import { configure } from "../../src/engine/optimizers/configure.ts";
import {
  EVALUATE,
  MAX_SUMS,
  SUM_BLOCK,
  type ConfiguredOptimizer,
  type Optimizer,
  type ParameterTensor,
  type Pass,
} from "../../src/engine/optimizers/optimizer.ts";
import type { Member } from "../../src/engine/settings.ts";
import { size, type Shape } from "../../src/engine/member/shape.ts";
import type { Bench } from "./kernels.ts";

export interface Parameter {
  readonly shape: Shape;
  readonly values: ArrayLike<number>;
}

/**
 * An optimizer on parameters of its own, run by one thread with given gradients, or with those of
 * an objective.
 */
export class Optimizing {
  readonly bench: Bench;
  readonly tensors: readonly ParameterTensor[];
  readonly optimizer: Optimizer;
  readonly configured: ConfiguredOptimizer;
  readonly #scratch: number;
  readonly #sums: number;

  constructor(bench: Bench, member: Member, parameters: readonly Parameter[]) {
    this.bench = bench;
    this.configured = configure(member);
    this.optimizer = this.configured.create(bench.kernels);
    this.#sums = bench.reserve(MAX_SUMS * 8);
    this.#scratch = bench.reserve(Math.max(0, ...parameters.map(({ shape }) => this.configured.scratch(shape))));
    this.tensors = parameters.map(({ shape, values }, i) => {
      const weight = bench.floats(values);
      return {
        name: `p${i}`,
        shape,
        length: values.length,
        weight,
        gradient: bench.reserve(values.length * 4),
        state: this.configured
          .state(shape)
          .map(({ initial, shape: own = shape }) =>
            bench.floats(initial === "parameter" ? values : new Float32Array(size(own)).fill(initial)),
          ),
        evaluated: this.configured.type.evaluatesOthers ? bench.reserve(values.length * 4) : weight,
        sparse: false,
        sums: new Float64Array(MAX_SUMS),
      };
    });
  }

  setGradients(gradients: readonly ArrayLike<number>[]): void {
    this.tensors.forEach(({ gradient }, i) => this.bench.kernels.f32.set(gradients[i], gradient >> 2));
  }

  /**
   * Step `t` (from 1) with the gradients that are set. Elementwise passes run in slices of `slice`
   * elements.
   */
  step(t: number, lr: number, slice = SUM_BLOCK, momentum?: number): void {
    this.optimizer.begin(t, lr, momentum);
    for (const pass of this.optimizer.passes) this.#run(pass, slice);
  }

  /**
   * Step `t` on an objective: `evaluate` sets the gradients at the present weights and returns the
   * loss there.
   */
  search(t: number, lr: number, evaluate: () => number): void {
    const objective = { loss: evaluate() };
    this.optimizer.begin(t, lr);
    for (const request of this.optimizer.search!(objective)) {
      if (request === EVALUATE) objective.loss = evaluate();
      else this.#run(request, SUM_BLOCK);
    }
  }

  #run(pass: Pass, slice: number): void {
    const covered = this.tensors.filter((tensor) => pass.covers?.(tensor) ?? true);
    const combine = (a: number, b: number) => (pass.reduce === "largest" ? Math.max(a, b) : a + b);
    const totals = new Float64Array(MAX_SUMS);
    for (const tensor of covered) {
      const length = pieceLength(pass, tensor, slice);
      tensor.sums.fill(0, 0, pass.sums ?? 0);
      for (let begin = 0; begin < tensor.length; begin += length) {
        const workspace = pass.over === "tensors" ? this.#scratch : this.#sums;
        pass.run(tensor, begin, Math.min(begin + length, tensor.length), workspace);
        for (let i = 0; i < (pass.sums ?? 0); i++)
          tensor.sums[i] = combine(tensor.sums[i], this.bench.kernels.f64[(this.#sums >> 3) + i]);
      }
      for (let i = 0; i < (pass.sums ?? 0); i++) totals[i] = combine(totals[i], tensor.sums[i]);
    }
    pass.settle?.(totals);
  }

  weights(parameter: number): Float32Array {
    const { weight, length } = this.tensors[parameter];
    return this.bench.read(weight, length);
  }

  evaluated(parameter: number): Float32Array {
    const tensor = this.tensors[parameter];
    this.optimizer.evaluate?.(tensor, 0, tensor.length);
    return this.bench.read(tensor.evaluated, tensor.length);
  }

  /** The state's tensors of a parameter, by name. */
  state(parameter: number): Map<string, Float32Array> {
    const { shape, state } = this.tensors[parameter];
    const declared = this.configured.state(shape);
    return new Map(
      declared.map(({ name, shape: own = shape }, i) => [name, this.bench.read(state[i], size(own))] as const),
    );
  }
}

function pieceLength({ over, sums }: Pass, { shape, length }: ParameterTensor, slice: number): number {
  if (over === "tensors") return length;
  if (over !== "rows") return sums ? SUM_BLOCK : slice;
  const row = length / shape[0];
  // Four rows begin on a vector again, whatever their length.
  return Math.max(1, Math.floor(slice / row / 4)) * 4 * row;
}
