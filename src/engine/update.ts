import type { Barrier } from "./barrier.ts";
import { clipCoefficient } from "./clip.ts";
import type { NormClip, Training } from "./job.ts";
import type { Kernels } from "./kernels/kernels.ts";
import { SUM_STRIDE, type Plan } from "./model.ts";
import { optimizers } from "./optimizers/registry.generated.ts";
import {
  MAX_SUMS,
  SUM_BLOCK,
  type Optimizer,
  type OptimizerType,
  type ParameterTensor,
  type Pass,
} from "./optimizers/optimizer.ts";
import type { Member } from "./options.ts";
import { parameterBlocks, type Block, type Tile } from "./slices.ts";

/*
 * From gradients to new weights, as one thread does its part.
 *
 * If the optimizer is a single elementwise pass and nothing needs the whole gradient, each tile is updated right after its gradient was
 * computed (`updateTile`). Otherwise the whole gradient is written first and the passes run over this thread's blocks
 * (`updateAll`), with a meeting wherever sums over a tensor are wanted. The same passes, called from two places.
 */

/** The part of a job's `training` that concerns the gradient. */
type Clipping = Pick<Training, "clip_grad_norm" | "clip_grad_value">;

export class Update {
  /** Whether tiles are updated as their gradients come. */
  readonly tilewise: boolean;
  /** The gradient's norm before clipping at the last step; NaN if it is not clipped by norm. */
  gradientNorm = Number.NaN;
  readonly optimizer: Optimizer;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #barrier: Barrier;
  readonly #tensors: readonly (ParameterTensor & { readonly firstBlock: number })[];
  readonly #blocks: readonly Block[];
  readonly #clipNorm: { max: number; type: number } | null;
  readonly #clipValue: number | null;
  readonly #f64: Float64Array;

  constructor(kernels: Kernels, plan: Plan, optimizer: Member, clipping: Clipping, barrier: Barrier, thread: number) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#barrier = barrier;
    this.#f64 = kernels.f64;
    const type = optimizers[optimizer.type as keyof typeof optimizers] as unknown as OptimizerType;
    this.optimizer = type.create(kernels, optimizer as never);
    this.#tensors = plan.parameters.map((parameter) => ({ ...parameter, sums: new Float64Array(MAX_SUMS) }));
    this.#blocks = parameterBlocks(plan, thread);
    this.#clipNorm = normClip(clipping.clip_grad_norm);
    this.#clipValue = clipping.clip_grad_value;
    const { passes } = this.optimizer;
    this.tilewise = this.#clipNorm === null && passes.length === 1 && passes[0].sums === 0;
  }

  /** Prepares step `t` (from 1). */
  begin(t: number, lr: number): void {
    this.optimizer.begin(t, lr);
  }

  /** What is done to every tile of the gradient when it has just been computed. */
  tileReady(tile: Tile): void {
    const tensor = this.#tensors[tile.parameter];
    const row = tensor.length / tensor.shape[0];
    const begin = tile.begin * row;
    const end = tile.end * row;
    if (this.#clipValue !== null) this.#kernels.clamp(tensor.gradient + begin * 4, end - begin, this.#clipValue);
    if (this.tilewise) this.optimizer.passes[0].run(tensor, begin, end, 0);
  }

  /** Runs all passes over this thread's blocks; every thread must have written its gradients before. */
  updateAll(): void {
    const scale = this.#clipNorm === null ? 1 : this.#clipCoefficient(this.#clipNorm.max, this.#clipNorm.type);
    let sums = 0;
    for (const pass of this.optimizer.passes) {
      this.#run(pass, sums, pass === this.optimizer.passes[0] ? scale : 1);
      if (pass.sums > 0) {
        this.#barrier.meet();
        for (let i = 0; i < pass.sums; i++) this.#addUp(sums + i);
        sums += pass.sums;
      }
    }
  }

  /** The gradient is scaled block by block, right before the first pass reads it from the cache. */
  #run(pass: Pass, sums: number, scale: number): void {
    for (const block of this.#blocks) {
      const tensor = this.#tensors[block.parameter];
      if (scale !== 1) this.#kernels.scale(tensor.gradient + block.begin * 4, block.end - block.begin, scale);
      pass.run(tensor, block.begin, block.end, block.sums + sums * 8);
    }
  }

  /** Adds up sum number `index` over the blocks of each tensor, in ascending order; every thread for itself. */
  #addUp(index: number): void {
    for (const tensor of this.#tensors)
      tensor.sums[index] = this.#sumBlocks(tensor.firstBlock, blocksOf(tensor), index);
  }

  #sumBlocks(first: number, count: number, index: number): number {
    let at = (this.#plan.addresses.sums >>> 3) + first * SUM_STRIDE + index;
    let sum = 0;
    for (let i = 0; i < count; i++, at += SUM_STRIDE) sum += this.#f64[at];
    return sum;
  }

  /** The factor that brings the whole gradient's norm down to `max`. A meeting of the crew. */
  #clipCoefficient(max: number, type: number): number {
    for (const block of this.#blocks) {
      const { gradient } = this.#tensors[block.parameter];
      this.#f64[(block.sums >>> 3) + MAX_SUMS] = this.#kernels.norm_part(
        gradient + block.begin * 4,
        block.end - block.begin,
        type,
      );
    }
    this.#barrier.meet();
    this.gradientNorm = this.#kernels.norm_of(this.#sumNorms(type), type);
    return clipCoefficient(this.gradientNorm, max);
  }

  #sumNorms(type: number): number {
    if (type !== Infinity) return this.#sumBlocks(0, this.#plan.blocks, MAX_SUMS);
    let largest = 0;
    let at = (this.#plan.addresses.sums >>> 3) + MAX_SUMS;
    for (let i = 0; i < this.#plan.blocks; i++, at += SUM_STRIDE) largest = Math.max(largest, this.#f64[at]);
    return largest;
  }

  /** Writes the evaluation weights of this thread's blocks, where they are not the trained ones. */
  evaluate(): void {
    for (const { parameter, begin, end } of this.#blocks)
      this.optimizer.evaluate?.(this.#tensors[parameter], begin, end);
  }

  /** Copies the evaluation weights of this thread's blocks to the best weights. */
  keepBest(): void {
    for (const { parameter, begin, end } of this.#blocks) {
      const { evaluated, best } = this.#plan.parameters[parameter];
      this.#kernels.u8.copyWithin(best + begin * 4, evaluated + begin * 4, evaluated + end * 4);
    }
  }

  /** Draws the initial weights of this thread's blocks, and starts the optimizer's tensors. */
  initialize(seedLow: number, seedHigh: number, optimizer: Member): void {
    const type = optimizers[optimizer.type as keyof typeof optimizers] as unknown as OptimizerType;
    const states = type.state(optimizer as never);
    for (const { parameter, begin, end } of this.#blocks) {
      const { initializer, weight, state } = this.#plan.parameters[parameter];
      const at = weight + begin * 4;
      if (initializer.distribution === "constant") this.#fill(at, end - begin, initializer.value);
      else if (initializer.distribution === "uniform")
        this.#kernels.fill_uniform(weight, begin, end, seedLow, seedHigh, parameter, initializer.bound);
      else this.#kernels.fill_normal(weight, begin, end, seedLow, seedHigh, parameter, initializer.deviation);
      states.forEach(({ initial }, i) => {
        if (initial === "parameter") this.#kernels.u8.copyWithin(state[i] + begin * 4, at, weight + end * 4);
        else this.#fill(state[i] + begin * 4, end - begin, initial);
      });
    }
  }

  #fill(address: number, count: number, value: number): void {
    this.#kernels.f32.fill(value, address >>> 2, (address >>> 2) + count);
  }
}

const blocksOf = (tensor: ParameterTensor): number => Math.ceil(tensor.length / SUM_BLOCK);

function normClip(clip: number | NormClip | null): { max: number; type: number } | null {
  if (clip === null) return null;
  if (typeof clip === "number") return { max: clip, type: 2 };
  return { max: clip.max_norm, type: clip.norm_type === "inf" ? Infinity : clip.norm_type };
}
