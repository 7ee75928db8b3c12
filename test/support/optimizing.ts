import {
  MAX_SUMS,
  SUM_BLOCK,
  type Optimizer,
  type OptimizerType,
  type ParameterTensor,
} from "../../src/engine/optimizers/optimizer.ts";
import type { Member } from "../../src/engine/options.ts";
import type { Bench } from "./kernels.ts";

/** An optimizer on parameters of its own, run by one thread with given gradients. */
export class Optimizing {
  readonly bench: Bench;
  readonly tensors: readonly ParameterTensor[];
  readonly optimizer: Optimizer;
  readonly stateNames: readonly string[];
  readonly #sums: number;

  constructor(bench: Bench, type: OptimizerType, options: Member, initial: readonly ArrayLike<number>[]) {
    const state = type.state(options as never);
    this.bench = bench;
    this.stateNames = state.map(({ name }) => name);
    this.optimizer = type.create(bench.kernels, options as never);
    this.#sums = bench.reserve(MAX_SUMS * 8);
    this.tensors = initial.map((values, i) => {
      const length = values.length;
      const weight = bench.floats(values);
      return {
        name: `p${i}`,
        shape: [length],
        length,
        weight,
        gradient: bench.reserve(length * 4),
        state: state.map(({ initial: start }) =>
          bench.floats(start === "parameter" ? values : new Float32Array(length).fill(start)),
        ),
        evaluated: type.evaluatesOthers ? bench.reserve(length * 4) : weight,
        sums: new Float64Array(MAX_SUMS),
      };
    });
  }

  /** Step `t` (from 1) with a gradient for every parameter. Elementwise passes run in slices of `slice` elements. */
  step(t: number, lr: number, gradients: readonly ArrayLike<number>[], slice = SUM_BLOCK): void {
    this.tensors.forEach(({ gradient }, i) => this.bench.kernels.f32.set(gradients[i], gradient >> 2));
    this.optimizer.begin(t, lr);
    let taken = 0;
    for (const pass of this.optimizer.passes) {
      const length = pass.sums > 0 ? SUM_BLOCK : slice;
      for (const tensor of this.tensors) {
        for (let begin = 0; begin < tensor.length; begin += length) {
          pass.run(tensor, begin, Math.min(begin + length, tensor.length), this.#sums);
          for (let i = 0; i < pass.sums; i++) {
            tensor.sums[taken + i] =
              (begin === 0 ? 0 : tensor.sums[taken + i]) + this.bench.kernels.f64[(this.#sums >> 3) + i];
          }
        }
      }
      taken += pass.sums;
    }
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

  state(parameter: number, name: string): Float32Array {
    const { state, length } = this.tensors[parameter];
    return this.bench.read(state[this.stateNames.indexOf(name)], length);
  }
}
