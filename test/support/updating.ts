// A job's update by one thread, under gradients that are given; and parameter groups.
import { Barrier } from "../../src/engine/step/barrier.ts";
import { Gradient } from "../../src/engine/step/gradient.ts";
import type { ParameterGroup } from "../../src/engine/settings.ts";
import { compileKernels, createMemory, instantiateKernels } from "../../src/engine/kernels/kernels.ts";
import { planModel } from "../../src/engine/plan/model.ts";
import { size } from "../../src/engine/member/shape.ts";
import { gradientTiles } from "../../src/engine/plan/slices.ts";
import { Update } from "../../src/engine/step/update.ts";
import { numbers } from "./references.ts";
import { smallJob, type JobChanges } from "./training.ts";
import { inputOf } from "./training.ts";

export const group = (changes: Partial<ParameterGroup>): ParameterGroup => ({
  parameters: "*",
  lr: null,
  lr_scale: 1,
  weight_decay: null,
  freeze: false,
  ...changes,
});

const module = compileKernels();

export class Updating {
  readonly plan;
  readonly gradient;
  readonly kernels;
  readonly #update;
  #t = 0;

  constructor(changes: JobChanges) {
    const job = smallJob(changes);
    this.plan = planModel({
      ...job,
      inputs: [inputOf(11)],
      target: { classes: 3, shape: [] },
      batchRows: 8,
      smallestBatch: 1,
      trainRows: 8,
      evaluatedRows: 0,
      threads: 1,
    });
    this.kernels = instantiateKernels(module, createMemory(this.plan.memoryBytes));
    const { control } = this.plan.addresses;
    const barrier = new Barrier(this.kernels, new Int32Array(this.kernels.memory.buffer, control), control, 1);
    this.gradient = new Gradient(this.kernels, this.plan, job.training, barrier, 0);
    this.#update = new Update(this.kernels, this.plan, this.gradient, barrier, 0);
    for (const { weight, length, state } of this.plan.parameters) {
      this.kernels.f32.set(initial(length), weight >> 2);
      for (const { initial: start, shape, address } of state) {
        const own = size(shape);
        this.kernels.f32.set(start === "parameter" ? initial(length) : new Float32Array(own).fill(start), address >> 2);
      }
    }
  }

  step(lr: number): void {
    this.#t++;
    for (const { gradient, length } of this.plan.parameters)
      if (gradient !== 0) this.kernels.f32.set(gradientAt(this.#t, length), gradient >> 2);
    const rates = this.plan.groups.map(({ rateScale }) => ({ lr: lr * rateScale, momentum: null }));
    this.#update.begin(this.#t, rates, false);
    for (const tile of gradientTiles(this.plan, 0)) {
      this.gradient.tileReady(tile);
      this.#update.tileReady(tile);
    }
    if (!this.#update.tilewise) this.#update.run(0, () => Number.NaN);
  }

  read(address: number, count: number): Float32Array {
    return this.kernels.f32.slice(address >> 2, (address >> 2) + count);
  }
}

/** What weights begin as. */
export const initial = (length: number) => numbers(length, 1, 0.3);
/** Those of step t. */
export const gradientAt = (t: number, length: number) => numbers(length, 10 + t, 2);
