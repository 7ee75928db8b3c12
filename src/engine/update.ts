import type { Barrier } from "./barrier.ts";
import type { Gradient } from "./gradient.ts";
import type { Kernels } from "./kernels/kernels.ts";
import type { Plan } from "./model.ts";
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
import { gradientTiles, ownTensors, parameterBlocks, sumOfBlocks, type Block, type Tile } from "./slices.ts";

/*
 * From gradients to new weights, as one thread does its part.
 *
 * If the optimizer is a single elementwise pass and nothing needs the whole gradient, each tile is updated right after its gradient was
 * computed (`tileReady`). Otherwise the whole gradient is written first and the passes run one after the other (`run`), this thread
 * taking its share of each: its blocks, its rows, or the tensors that fell to it. After a pass the crew meets, and every thread adds its
 * sums up for itself. The same passes, called from two places. A search yields its passes one by one, and asks for evaluations between them.
 */

/** A parameter as the optimizer sees it, and what only the crew needs to know of it. */
interface Tensor extends ParameterTensor {
  /** Which of the plan's parameters it is. */
  readonly number: number;
  readonly firstBlock: number;
  /** The first pass that reads its gradient; what is left to do to the gradient is done then, while it is in the cache. */
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
  readonly optimizer: Optimizer;
  readonly #elementwise: boolean;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #barrier: Barrier;
  readonly #thread: number;
  readonly #tensors: readonly Tensor[];
  readonly #blocks: readonly Block[];
  readonly #pieces = new Map<Pass, readonly Piece[]>();
  readonly #gradient: Gradient;
  readonly #totals = new Float64Array(MAX_SUMS);
  /** Which of the two banks of sums comes next: while one thread writes the next pass' sums another may still read the last one's. */
  #bank = 0;

  constructor(kernels: Kernels, plan: Plan, optimizer: Member, gradient: Gradient, barrier: Barrier, thread: number) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#gradient = gradient;
    this.#barrier = barrier;
    this.#thread = thread;
    this.optimizer = configure(optimizer).create(kernels);
    const { passes } = this.optimizer;
    this.#tensors = plan.parameters.map((parameter, number) => {
      const state = parameter.state.map(({ address }) => address);
      const tensor = { ...parameter, number, state, sums: new Float64Array(MAX_SUMS) };
      return { ...tensor, firstPass: passes.find((pass) => covers(pass, tensor)) };
    });
    this.#blocks = parameterBlocks(plan, thread);
    this.#elementwise = !gradient.neededWhole && passes.length === 1 && isElementwise(passes[0]);
    this.tilewise = this.#elementwise;
  }

  /** Prepares step `t` (from 1). `whole`: the gradient is wanted whole, before anything is updated. */
  begin(t: number, { lr, momentum }: Rate, whole: boolean): void {
    this.tilewise = this.#elementwise && !whole;
    this.optimizer.begin(t, lr, momentum);
  }

  /** Updates a tile whose gradient has just been computed, in a step that goes tile by tile. */
  tileReady({ parameter, begin, end }: Tile): void {
    if (!this.tilewise) return;
    const tensor = this.#tensors[parameter];
    const row = tensor.length / tensor.shape[0];
    this.optimizer.passes[0].run(tensor, begin * row, end * row, 0);
  }

  /**
   * Makes the step; every thread must have written its gradients before. `loss` belongs to them, and `evaluate` computes both anew at
   * weights to which the optimizer has moved.
   */
  run(loss: number, evaluate: () => number): void {
    const { passes } = this.optimizer;
    if (this.optimizer.search) return this.#search({ loss }, evaluate);
    this.#gradient.measure();
    for (const [i, pass] of passes.entries()) {
      this.#pass(pass);
      if (i < passes.length - 1 || pass.sums) this.#settle(pass);
    }
  }

  #search(objective: { loss: number }, evaluate: () => number): void {
    this.#gradient.finishWhole();
    for (const request of this.optimizer.search!(objective)) {
      if (request === EVALUATE) {
        objective.loss = evaluate();
        this.#gradient.finishWhole();
      } else {
        this.#pass(request);
        this.#settle(request);
      }
    }
  }

  #pass(pass: Pass): void {
    const offset = pass.sums ? this.#bank * 8 : 0;
    for (const { tensor, begin, end, workspace } of this.#piecesOf(pass)) {
      if (tensor.firstPass === pass) this.#gradient.finish(tensor.number, begin, end);
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
        tensor.sums[i] = sumOfBlocks(
          this.#kernels.f64,
          this.#plan,
          tensor.firstBlock,
          blocksOf(tensor),
          this.#bank + i,
          largest,
        );
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
