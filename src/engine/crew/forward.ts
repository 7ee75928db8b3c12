import { instantiateKernels, createMemory, type Kernels } from "../kernels/kernels.ts";
import type { ForwardPass } from "../layers/layer.ts";
import { size } from "../member/shape.ts";
import { planForward, type ForwardInput, type ForwardPlan } from "../plan/forward.ts";
import { restoreTensors, stateEntries } from "../state/state.ts";
import { Barrier } from "../step/barrier.ts";
import { Rows } from "../step/rows.ts";
import { Network } from "../step/network.ts";
import type { InputArray } from "../training.ts";

/*
 * A crew of one that only predicts: a trained model in a memory of its own, run by the thread that
 * has it. Dropout is off and batch_norm takes its running statistics, as in an evaluation.
 *
 * What comes out for a row does not depend on the rows beside it: samples do not mix, and a product
 * of matrices computes each of its rows in the same order, however many there are.
 */

const EVALUATION: ForwardPass = { training: false, batch: 0, seedLow: 0, seedHigh: 0 };

export class ForwardCrew {
  readonly plan: ForwardPlan;
  readonly #kernels: Kernels;
  readonly #network: Network;

  /**
   * `file`: the model file.
   * @throws PlanError if the model cannot be planned
   * @throws Error if the file is damaged, or of another model
   */
  constructor(module: WebAssembly.Module, input: ForwardInput, file: Uint8Array) {
    this.plan = planForward(input);
    this.#kernels = instantiateKernels(module, createMemory(this.plan.memoryBytes));
    const words = this.#kernels.i32.subarray(this.plan.control / 4);
    const barrier = new Barrier(this.#kernels, words, this.plan.control, 1);
    this.#network = new Network(this.#kernels, this.plan, this.plan.pass, barrier, 0);
    this.load(file);
  }

  /** Takes another model, which has the same plan. @throws Error as the constructor */
  load(file: Uint8Array): void {
    restoreTensors(file, this.#kernels.u8, stateEntries(this.plan));
  }

  /** Most rows of one `run`. */
  get rows(): number {
    return this.plan.pass.rows;
  }

  /**
   * What the model gives for `count` rows of the inputs, from row `first` on. The result is good
   * until the next call.
   */
  run(inputs: readonly Pick<InputArray, "values" | "step">[], first: number, count: number): Float32Array {
    const { f32 } = this.#kernels;
    for (const [at, { values, step }] of inputs.entries()) {
      const rows = new Rows(values, size(this.plan.inputs[at].shape), step);
      for (let i = 0; i < count; i++) rows.copy(first + i, this.#kernels, this.#network.values[at], i);
    }
    this.#network.forward(0, count, count, EVALUATION);
    const from = this.#network.prediction / 4;
    return f32.subarray(from, from + count * size(this.plan.prediction));
  }
}
