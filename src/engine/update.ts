import type { Barrier } from "./barrier.ts";
import { clipCoefficient } from "./clip.ts";
import type { NormClip, Training } from "./job.ts";
import type { Kernels } from "./kernels/kernels.ts";
import { NORM_SUM, SUM_STRIDE, type Plan } from "./model.ts";
import { configure } from "./optimizers/configure.ts";
import {
  EVALUATE,
  MAX_SUMS,
  SUM_BLOCK,
  type Optimizer,
  type ParameterTensor,
  type Pass,
} from "./optimizers/optimizer.ts";
import type { Member } from "./options.ts";
import type { Rate } from "./schedules/learning-rate.ts";
import { gradientTiles, ownTensors, parameterBlocks, type Block, type Tile } from "./slices.ts";

/*
 * From gradients to new weights, as one thread does its part.
 *
 * If the optimizer is a single elementwise pass and nothing needs the whole gradient, each tile is updated right after its gradient was
 * computed (`tileReady`). Otherwise the whole gradient is written first and the passes run one after the other (`run`), this thread
 * taking its share of each: its blocks, its rows, or the tensors that fell to it. After a pass the crew meets, and every thread adds its
 * sums up for itself. The same passes, called from two places. A search yields its passes one by one, and asks for evaluations between them.
 */

/** The part of a job's `training` that concerns the gradient. */
type Clipping = Pick<Training, "clip_grad_norm" | "clip_grad_value">;

/** A parameter as the optimizer sees it, and what only the crew needs to know of it. */
interface Tensor extends ParameterTensor {
  readonly firstBlock: number;
  /** The first pass that reads its gradient; it scales it, if the gradient is clipped, while it is in the cache. */
  readonly firstPass: Pass | undefined;
}

/** What one call of a pass is given. */
interface Piece {
  readonly tensor: Tensor;
  readonly begin: number;
  readonly end: number;
  readonly workspace: number;
}

export class Update {
  /** Whether tiles are updated as their gradients come, in the present step. */
  tilewise: boolean;
  /** The gradient's norm before clipping at the last step; NaN if it is not clipped by norm. */
  gradientNorm = Number.NaN;
  readonly optimizer: Optimizer;
  readonly #elementwise: boolean;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #barrier: Barrier;
  readonly #thread: number;
  readonly #tensors: readonly Tensor[];
  readonly #blocks: readonly Block[];
  readonly #pieces = new Map<Pass, readonly Piece[]>();
  readonly #clipNorm: { max: number; type: number } | null;
  readonly #clipValue: number | null;
  readonly #f64: Float64Array;
  readonly #totals = new Float64Array(MAX_SUMS);
  /** Which of the two banks of sums comes next: while one thread writes the next pass' sums another may still read the last one's. */
  #bank = 0;

  constructor(kernels: Kernels, plan: Plan, optimizer: Member, clipping: Clipping, barrier: Barrier, thread: number) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#barrier = barrier;
    this.#thread = thread;
    this.#f64 = kernels.f64;
    this.optimizer = configure(optimizer).create(kernels);
    const { passes } = this.optimizer;
    this.#tensors = plan.parameters.map((parameter) => {
      const state = parameter.state.map(({ address }) => address);
      const tensor = { ...parameter, state, sums: new Float64Array(MAX_SUMS) };
      return { ...tensor, firstPass: passes.find((pass) => covers(pass, tensor)) };
    });
    this.#blocks = parameterBlocks(plan, thread);
    this.#clipNorm = normClip(clipping.clip_grad_norm);
    this.#clipValue = clipping.clip_grad_value;
    this.#elementwise = this.#clipNorm === null && passes.length === 1 && isElementwise(passes[0]);
    this.tilewise = this.#elementwise;
  }

  /** Prepares step `t` (from 1). `whole`: the gradient is wanted whole, before anything is updated. */
  begin(t: number, { lr, momentum }: Rate, whole: boolean): void {
    this.tilewise = this.#elementwise && !whole;
    this.optimizer.begin(t, lr, momentum);
  }

  /** Whether the last step's gradient was scaled down; null if it is not clipped by its norm. */
  get clipped(): boolean | null {
    return this.#clipNorm && this.gradientNorm > this.#clipNorm.max;
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

  /**
   * Makes the step; every thread must have written its gradients before. `loss` belongs to them, and `evaluate` computes both anew at
   * weights to which the optimizer has moved.
   */
  run(loss: number, evaluate: () => number): void {
    const { passes } = this.optimizer;
    if (this.optimizer.search) return this.#search({ loss }, evaluate);
    const scale = this.#clipCoefficient();
    for (const [i, pass] of passes.entries()) {
      this.#pass(pass, scale);
      if (i < passes.length - 1 || pass.sums) this.#settle(pass);
    }
  }

  #search(objective: { loss: number }, evaluate: () => number): void {
    this.#scaleGradient();
    for (const request of this.optimizer.search!(objective)) {
      if (request === EVALUATE) {
        objective.loss = evaluate();
        this.#scaleGradient();
      } else {
        this.#pass(request, 1);
        this.#settle(request);
      }
    }
  }

  #pass(pass: Pass, scale: number): void {
    const offset = pass.sums ? this.#bank * 8 : 0;
    for (const { tensor, begin, end, workspace } of this.#piecesOf(pass)) {
      if (scale !== 1 && tensor.firstPass === pass)
        this.#kernels.scale(tensor.gradient + begin * 4, end - begin, scale);
      pass.run(tensor, begin, end, workspace + offset);
    }
  }

  /** Meets after a pass, and adds its sums up: every thread for itself, in the same order. */
  #settle(pass: Pass): void {
    this.#barrier.meet();
    if (!pass.sums) return;
    const totals = this.#totals.fill(0);
    const largest = pass.reduce === "largest";
    for (const tensor of this.#tensors) {
      for (let i = 0; i < pass.sums && covers(pass, tensor); i++) {
        tensor.sums[i] = this.#reduce(tensor.firstBlock, blocksOf(tensor), this.#bank + i, largest);
        totals[i] = largest ? Math.max(totals[i], tensor.sums[i]) : totals[i] + tensor.sums[i];
      }
    }
    this.#bank = MAX_SUMS - this.#bank;
    pass.settle?.(totals);
  }

  #piecesOf(pass: Pass): readonly Piece[] {
    const known = this.#pieces.get(pass);
    if (known) return known;
    const pieces = this.#share(pass).filter(({ tensor }) => covers(pass, tensor));
    this.#pieces.set(pass, pieces);
    return pieces;
  }

  /** This thread's part of a pass. */
  #share(pass: Pass): Piece[] {
    const tensors = this.#tensors;
    if (pass.over === "tensors") {
      const { addresses, scratchBytes, threads } = this.#plan;
      const workspace = addresses.scratch + this.#thread * scratchBytes;
      const costs = tensors.map((tensor) => (covers(pass, tensor) ? (pass.cost?.(tensor) ?? tensor.length) : 0));
      return ownTensors(costs, threads, this.#thread).map((i) => ({
        tensor: tensors[i],
        begin: 0,
        end: tensors[i].length,
        workspace,
      }));
    }
    if (pass.over === "rows") {
      return gradientTiles(this.#plan, this.#thread).map(({ parameter, begin, end }) => {
        const tensor = tensors[parameter];
        const row = tensor.length / tensor.shape[0];
        return { tensor, begin: begin * row, end: end * row, workspace: 0 };
      });
    }
    return this.#blocks.map(({ parameter, begin, end, sums }) => ({
      tensor: tensors[parameter],
      begin,
      end,
      workspace: sums,
    }));
  }

  /** Brings sum number `index` of `count` blocks together, in ascending order. */
  #reduce(first: number, count: number, index: number, largest: boolean): number {
    let at = (this.#plan.addresses.sums >>> 3) + first * SUM_STRIDE + index;
    let result = 0;
    for (let i = 0; i < count; i++, at += SUM_STRIDE)
      result = largest ? Math.max(result, this.#f64[at]) : result + this.#f64[at];
    return result;
  }

  /** Clips the gradient by its norm before a search looks at it. */
  #scaleGradient(): void {
    const scale = this.#clipCoefficient();
    if (scale === 1) return;
    for (const { parameter, begin, end } of this.#blocks)
      this.#kernels.scale(this.#tensors[parameter].gradient + begin * 4, end - begin, scale);
    this.#barrier.meet();
  }

  /** The factor that brings the whole gradient's norm down to its limit. A meeting of the crew if there is one. */
  #clipCoefficient(): number {
    if (this.#clipNorm === null) return 1;
    const { max, type } = this.#clipNorm;
    for (const { parameter, begin, end, sums } of this.#blocks) {
      const at = this.#tensors[parameter].gradient + begin * 4;
      this.#f64[(sums >>> 3) + NORM_SUM] = this.#kernels.norm_part(at, end - begin, type);
    }
    this.#barrier.meet();
    const sum = this.#reduce(0, this.#plan.blocks, NORM_SUM, type === Infinity);
    this.gradientNorm = this.#kernels.norm_of(sum, type);
    return clipCoefficient(this.gradientNorm, max);
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
}

/** Whether a pass can run on a tile as soon as its gradient is there. */
function isElementwise({ over, sums, covers }: Pass): boolean {
  return over !== "tensors" && !sums && covers === undefined;
}

const covers = (pass: Pass, tensor: ParameterTensor): boolean => pass.covers?.(tensor) ?? true;

const blocksOf = (tensor: ParameterTensor): number => Math.ceil(tensor.length / SUM_BLOCK);

function normClip(clip: number | NormClip | null): { max: number; type: number } | null {
  if (clip === null) return null;
  if (typeof clip === "number") return { max: clip, type: 2 };
  return { max: clip.max_norm, type: clip.norm_type === "inf" ? Infinity : clip.norm_type };
}
