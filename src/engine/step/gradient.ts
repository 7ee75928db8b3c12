import type { Barrier } from "./barrier.ts";
import type { NormClip, Training } from "../settings.ts";
import { batchesPerStep } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { RowSet } from "../layers/layer.ts";
import { NORM_SUM, type Plan } from "../plan/model.ts";
import { seedHalves } from "../kernels/random.ts";
import { gradientTiles, parameterBlocks, sumOfBlocks, type Block, type Tile } from "../plan/slices.ts";
import { sparseRows, type SparseRows } from "./sparse.ts";

/*
 * What happens to the gradient before an optimizer reads it: one thread's part of the work.
 *
 * A step may have several batches. The gradient of a tile is computed for each batch in turn and
 * added to the sum so far (`accumulate`), in the order of the batches. The loss is divided by the
 * divisor of all batches together. So the sum is the gradient of one large batch.
 *
 * Then, in this order: elements are clipped by value, units are clipped by the norms of their
 * weights, the whole gradient is clipped by its norm, and noise is added. Noise comes last, as in
 * the paper's experiments that clip and as in optax.noisy_sgd: clipped noise would no longer have
 * the requested variance.
 *
 * The first two need only an element or a unit. They are done to each tile when it is complete
 * (`tileReady`). The norm needs the whole gradient. It is measured when all threads have written
 * their parts (`measure`). The clipping by norm and the noise are done to a slice when the
 * optimizer first reads it (`finish`), while it is in cache.
 */

/** The part of a job's `training` that concerns the gradient. */
export type Treatment = Pick<
  Training,
  | "seed"
  | "clip_grad_norm"
  | "clip_grad_value"
  | "clip_grad_adaptive"
  | "gradient_noise"
  | "gradient_accumulation_steps"
>;

export class Gradient {
  /** Its norm before clipping at the last step; NaN if it is not clipped by norm. */
  norm = Number.NaN;
  /** Whether no weight can be updated before the whole gradient is computed. */
  readonly neededWhole: boolean;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #barrier: Barrier;
  readonly #blocks: readonly Block[];
  readonly #sparse: ReadonlyMap<number, SparseRows>;
  readonly #clipNorm: { max: number; type: number } | null;
  readonly #clipValue: number | null;
  readonly #clipUnits: Treatment["clip_grad_adaptive"];
  readonly #noise: Treatment["gradient_noise"];
  readonly #seed: readonly [number, number];
  readonly #accumulates: boolean;
  #step = 0;
  #scale = 1;
  #deviation = 0;

  constructor(kernels: Kernels, plan: Plan, treatment: Treatment, barrier: Barrier, thread: number) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#barrier = barrier;
    this.#blocks = parameterBlocks(plan, thread);
    this.#clipNorm = normClip(treatment.clip_grad_norm);
    this.#clipValue = treatment.clip_grad_value;
    this.#clipUnits = treatment.clip_grad_adaptive;
    this.#noise = treatment.gradient_noise;
    this.#seed = seedHalves(treatment.seed);
    this.neededWhole = this.#clipNorm !== null;
    this.#accumulates = batchesPerStep(treatment) > 1;
    this.#sparse = sparseRows(kernels, plan, thread);
    for (const tile of gradientTiles(plan, thread)) if (this.#sparse.has(tile.parameter)) this.#clear(tile);
  }

  /** Prepares step `step`, from 0. */
  begin(step: number): void {
    for (const rows of this.#sparse.values()) {
      rows.each((part) => this.#clear(part));
      rows.count = 0;
    }
    if (!this.#noise) return;
    const { eta, gamma } = this.#noise;
    this.#step = step;
    this.#deviation = Math.sqrt(eta / this.#kernels.pow(1 + step, gamma));
  }

  /** Whether it was scaled down at the last step; null if it is not clipped by its norm. */
  get clipped(): boolean | null {
    return this.#clipNorm && this.norm > this.#clipNorm.max;
  }

  /** The rows of a parameter that the step's batches use. Null: its gradient is not sparse. */
  rowsOf(parameter: number): RowSet | null {
    return this.#sparse.get(parameter) ?? null;
  }

  /** Visits what a tile consists of: rows of a sparse gradient, else all of it. */
  eachPart(tile: Tile, visit: (part: Tile) => void): void {
    const rows = this.#sparse.get(tile.parameter);
    if (rows) rows.each(visit);
    else visit(tile);
  }

  /**
   * Adds the gradient of one batch to the tile's sum of the step's earlier batches. After the last
   * batch the tile is complete.
   */
  accumulate(tile: Tile, first: boolean, last: boolean): void {
    const sparse = this.#sparse.has(tile.parameter);
    this.eachPart(tile, (part) => {
      const { batch, sum, count } = this.#elements(part);
      // A row of a sparse gradient may be used by no batch before this one. Its sum is 0 then.
      if (first && !sparse) this.#kernels.u8.copyWithin(sum, batch, batch + count * 4);
      else if (last) this.#kernels.add(batch, sum, count);
      else this.#kernels.add(sum, batch, count);
      if (sparse && !last) this.#kernels.f32.fill(0, batch / 4, batch / 4 + count);
    });
  }

  /** Sets rows of a sparse gradient to zero, and their sums over batches. */
  #clear(part: Tile): void {
    const { batch, sum, count } = this.#elements(part);
    this.#kernels.f32.fill(0, batch / 4, batch / 4 + count);
    if (this.#accumulates) this.#kernels.f32.fill(0, sum / 4, sum / 4 + count);
  }

  /** Clips a tile that is complete, by value and by units. */
  tileReady(tile: Tile): void {
    if (this.#clipValue !== null || this.#clipUnits) this.eachPart(tile, (part) => this.#clip(part));
  }

  #clip(tile: Tile): void {
    const { weight, batch, count } = this.#elements(tile);
    if (this.#clipValue !== null) this.#kernels.clamp(batch, count, this.#clipValue);
    if (!this.#clipUnits) return;
    const { clipping, eps } = this.#clipUnits;
    const units = (tile.end - tile.begin) / this.#plan.parameters[tile.parameter].unitRows;
    this.#kernels.clip_units(batch, weight, units, count / units, clipping, eps);
  }

  /** The addresses of a tile's weights and gradient, and of the gradient's sum over batches. */
  #elements({ parameter, begin, end }: Tile): { weight: number; batch: number; sum: number; count: number } {
    const { weight, gradient, length, shape } = this.#plan.parameters[parameter];
    const { accumulated, state } = this.#plan.addresses;
    const row = length / shape[0];
    const at = weight + begin * row * 4;
    const sum = accumulated + at - state;
    return { weight: at, batch: gradient + begin * row * 4, sum, count: (end - begin) * row };
  }

  /**
   * Measures the norm of the whole gradient, which all threads must have written. The crew meets
   * here if the gradient is clipped by its norm.
   */
  measure(): void {
    if (this.#clipNorm === null) return;
    const { max, type } = this.#clipNorm;
    const { f64 } = this.#kernels;
    for (const { parameter, begin, end, sums } of this.#blocks) {
      const at = this.#plan.parameters[parameter].gradient + begin * 4;
      f64[(sums >>> 3) + NORM_SUM] = this.#kernels.norm_part(at, end - begin, type);
    }
    this.#barrier.meet();
    const sum = sumOfBlocks(f64, this.#plan, 0, this.#plan.blocks, NORM_SUM, type === Infinity);
    this.norm = this.#kernels.norm_of(sum, type);
    this.#scale = clipCoefficient(this.norm, max);
  }

  /**
   * Finishes elements begin..end of a parameter's gradient: scales them if the norm was clipped,
   * and adds noise. `measure` must have been called before.
   */
  finish(parameter: number, begin: number, end: number): void {
    if (this.#scale === 1 && this.#deviation === 0) return;
    const { gradient, stream } = this.#plan.parameters[parameter];
    if (this.#scale !== 1) this.#kernels.scale(gradient + begin * 4, end - begin, this.#scale);
    if (this.#deviation === 0) return;
    const [low, high] = this.#seed;
    this.#kernels.add_normal(gradient, begin, end, low, high, stream, this.#step, this.#deviation);
  }

  /** Measures and finishes all of it, for an optimizer that reads it again and again. */
  finishWhole(): void {
    this.measure();
    if (this.#scale === 1) return;
    for (const { parameter, begin, end } of this.#blocks) this.finish(parameter, begin, end);
    this.#barrier.meet();
  }
}

/**
 * The factor of every gradient when the norm of all gradients together is limited, as in
 * `torch.nn.utils.clip_grad_norm_`. It is computed in double and rounded to float32 once, when it
 * is multiplied with the gradients. NaN if the norm is NaN.
 */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

function normClip(clip: number | NormClip | null): { max: number; type: number } | null {
  if (clip === null) return null;
  if (typeof clip === "number") return { max: clip, type: 2 };
  return { max: clip.max_norm, type: clip.norm_type === "inf" ? Infinity : clip.norm_type };
}
