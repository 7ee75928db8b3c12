import type { WeightAverages } from "./averaging.ts";
import type { Barrier } from "./barrier.ts";
import type { Gradient } from "./gradient.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { bufferBytes, type Plan } from "../plan/model.ts";
import { configure } from "../optimizers/configure.ts";
import {
  EVALUATE,
  MAX_SUMS,
  SUM_BLOCK,
  type Optimizer,
  type ParameterTensor,
  type Pass,
} from "../optimizers/optimizer.ts";
import type { Rate } from "../schedules/learning-rate.ts";
import {
  gradientTiles,
  ownTensors,
  parameterBlocks,
  sumOfBlocks,
  weightBlocks,
  type Block,
  type Tile,
} from "../plan/slices.ts";
import type { Progress } from "../state/state.ts";

/*
 * From gradients to new weights: one thread's part of the work.
 *
 * If the optimizer is a single elementwise pass and nothing needs the whole gradient, each tile is
 * updated right after its gradient was computed (`tileReady`). Otherwise the whole gradient is
 * written first and the passes run one after the other (`run`). This thread does its share of each
 * pass: its blocks, its rows or its tensors. After a pass the crew meets, and every thread adds up
 * the sums of all threads for itself. The passes are the same, called from two places. A search
 * yields its passes one by one, and asks for evaluations between them.
 *
 * Each parameter group has its own optimizer. All are of one type and so have the same passes.
 * Round number i consists of pass number i of every group, over the tensors of that group. The crew
 * meets after a round.
 */

/** A parameter as the optimizer sees it, with what only the crew needs. */
interface Tensor extends ParameterTensor {
  /** Which of the plan's parameters it is. */
  readonly number: number;
  /** The group whose optimizer updates it. Null: it is frozen. */
  readonly group: number | null;
  readonly firstBlock: number;
  /**
   * The first pass that reads its gradient. The gradient is finished then (gradient.ts), while it
   * is in cache.
   */
  readonly firstPass: Pass | undefined;
  /** The last pass over it. Averages are taken then, while it is in cache. */
  readonly lastPass: Pass | undefined;
}

/** The passes that run at once: one for each group. */
type Round = readonly Pass[];

/** One call of a pass. */
interface Piece {
  readonly pass: Pass;
  readonly tensor: Tensor;
  readonly begin: number;
  readonly end: number;
  readonly workspace: number;
}

export class Update {
  /** Whether, in the present step, a tile is updated as soon as its gradient is computed. */
  tilewise: boolean;
  /** The spec's own first, then those of groups. */
  readonly #optimizers: readonly Optimizer[];
  readonly #rounds: readonly Round[];
  readonly #elementwise: boolean;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #barrier: Barrier;
  readonly #thread: number;
  readonly #tensors: readonly Tensor[];
  readonly #blocks: readonly Block[];
  /** By the first pass of their round. */
  readonly #pieces = new Map<Pass, readonly Piece[]>();
  readonly #gradient: Gradient;
  readonly #averages: WeightAverages | null;
  readonly #totals = new Float64Array(MAX_SUMS);
  /**
   * Which of the two banks of sums is used next. There are two because one thread may write the
   * sums of the next pass while another still reads those of the last pass.
   */
  #bank = 0;

  constructor(
    kernels: Kernels,
    plan: Plan,
    gradient: Gradient,
    barrier: Barrier,
    thread: number,
    averages: WeightAverages | null = null,
  ) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#gradient = gradient;
    this.#averages = averages;
    this.#barrier = barrier;
    this.#thread = thread;
    this.#optimizers = plan.groups.map(({ optimizer }) => configure(optimizer).create(kernels));
    this.#rounds = this.#optimizers[0].passes.map((_, i) => this.#optimizers.map(({ passes }) => passes[i]));
    this.#tensors = plan.parameters.map((parameter, number) => {
      const state = parameter.state.map(({ address }) => address);
      const tensor = { ...parameter, number, state, sparse: parameter.rows !== null, sums: new Float64Array(MAX_SUMS) };
      const all = parameter.group === null ? [] : this.#optimizers[parameter.group].passes;
      const passes = all.filter((pass) => pass.covers?.(tensor) ?? true);
      return { ...tensor, firstPass: passes.at(0), lastPass: passes.at(-1) };
    });
    this.#blocks = parameterBlocks(plan, thread);
    this.#elementwise = !gradient.neededWhole && this.#rounds.length === 1 && this.#rounds[0].every(isElementwise);
    this.tilewise = this.#elementwise;
  }

  /** Makes the optimizers use their doubles in `progress`, and keep them there. */
  attach(progress: Progress): void {
    for (const [i, { scalars = {} }] of this.#optimizers.entries()) {
      const kept = i === 0 ? progress : (progress.groups[i - 1] ??= { schedule: null, scalars: {} });
      kept.scalars = Object.assign(scalars, kept.scalars);
    }
  }

  /**
   * Prepares step `t` (from 1), at the rate of each group. `whole`: the whole gradient must be
   * computed before anything is updated.
   */
  begin(t: number, rates: readonly Rate[], whole: boolean): void {
    this.tilewise = this.#elementwise && !whole;
    for (const [i, { lr, momentum }] of rates.entries()) this.#optimizers[i].begin(t, lr, momentum);
    this.#averages?.begin(t);
  }

  /** Updates a tile whose gradient has just been computed, if the step is made tile by tile. */
  tileReady(tile: Tile): void {
    if (!this.tilewise) return;
    const { tensor, begin, end } = this.#pieceOf(tile);
    this.#apply(tensor.firstPass!, tensor, begin, end, 0);
  }

  /**
   * Makes the step. Every thread must have written its gradients before. `loss` is the loss at the
   * same weights. `evaluate` computes both again after the optimizer has moved the weights.
   */
  run(loss: number, evaluate: () => number): void {
    const [own] = this.#optimizers;
    if (own.search) return this.#search(own, { loss }, evaluate);
    this.#gradient.measure();
    for (const [i, round] of this.#rounds.entries()) {
      this.#run(round);
      if (i < this.#rounds.length - 1 || round[0].sums) this.#settle(round);
    }
  }

  /** An optimizer that searches has the whole model. */
  #search(optimizer: Optimizer, objective: { loss: number }, evaluate: () => number): void {
    this.#gradient.finishWhole();
    for (const request of optimizer.search!(objective)) {
      if (request === EVALUATE) {
        objective.loss = evaluate();
        this.#gradient.finishWhole();
      } else {
        this.#run([request]);
        this.#settle([request]);
      }
    }
    for (const { parameter, begin, end } of this.#blocks) this.#averages?.take(parameter, begin, end);
  }

  #run(round: Round): void {
    const offset = round[0].sums ? this.#bank * 8 : 0;
    for (const { pass, tensor, begin, end, workspace } of this.#piecesOf(round))
      this.#apply(pass, tensor, begin, end, workspace + offset);
  }

  /** A pass over a piece: of a sparse gradient, over the rows that it has. */
  #apply(pass: Pass, tensor: Tensor, begin: number, end: number, workspace: number): void {
    if (tensor.sparse) {
      const row = tensor.length / tensor.shape[0];
      const tile = { parameter: tensor.number, begin: begin / row, end: end / row };
      this.#gradient.eachPart(tile, (part) => this.#pass(pass, tensor, part.begin * row, part.end * row, workspace));
    } else this.#pass(pass, tensor, begin, end, workspace);
    // Averages move whether there was a gradient or not.
    if (tensor.lastPass === pass) this.#averages?.take(tensor.number, begin, end);
  }

  #pass(pass: Pass, tensor: Tensor, begin: number, end: number, workspace: number): void {
    if (tensor.firstPass === pass) this.#gradient.finish(tensor.number, begin, end);
    pass.run(tensor, begin, end, workspace);
  }

  /**
   * Meets after a round. Then every thread adds up each group's sums for itself, in the same order.
   */
  #settle(round: Round): void {
    this.#barrier.meet();
    const [{ sums = 0, reduce }] = round;
    if (sums === 0) return;
    const largest = reduce === "largest";
    for (const pass of round) {
      const totals = this.#totals.fill(0);
      for (const tensor of this.#tensors) {
        if (passOf(tensor, round) !== pass) continue;
        const { firstBlock } = tensor;
        for (let i = 0; i < sums; i++) {
          const index = this.#bank + i;
          tensor.sums[i] = sumOfBlocks(this.#kernels.f64, this.#plan, firstBlock, blocksOf(tensor), index, largest);
          totals[i] = largest ? Math.max(totals[i], tensor.sums[i]) : totals[i] + tensor.sums[i];
        }
      }
      pass.settle?.(totals);
    }
    this.#bank = MAX_SUMS - this.#bank;
  }

  #piecesOf(round: Round): readonly Piece[] {
    const known = this.#pieces.get(round[0]);
    if (known) return known;
    const pieces = this.#share(round).flatMap((piece): Piece[] => {
      const pass = passOf(piece.tensor, round);
      return pass === undefined ? [] : [{ ...piece, pass }];
    });
    this.#pieces.set(round[0], pieces);
    return pieces;
  }

  /** This thread's part of a round. */
  #share(round: Round): Omit<Piece, "pass">[] {
    const tensors = this.#tensors;
    const [{ over }] = round;
    if (over === "tensors") {
      const { addresses, scratchBytes, threads } = this.#plan;
      const workspace = addresses.scratch + this.#thread * scratchBytes;
      const costs = tensors.map((tensor) => {
        const pass = passOf(tensor, round);
        return pass === undefined ? 0 : (pass.cost?.(tensor) ?? tensor.length);
      });
      return ownTensors(costs, threads, this.#thread).map((i) => ({
        tensor: tensors[i],
        begin: 0,
        end: tensors[i].length,
        workspace,
      }));
    }
    const pieces = gradientTiles(this.#plan, this.#thread).map((tile) => this.#pieceOf(tile));
    if (over === "rows") return pieces;
    const blocks = this.#blocks.map(({ parameter, begin, end, sums }) => ({
      tensor: tensors[parameter],
      begin,
      end,
      workspace: sums,
    }));
    // A thread knows only of its own tile which rows have a gradient.
    return [...blocks.filter(({ tensor }) => !tensor.sparse), ...pieces.filter(({ tensor }) => tensor.sparse)];
  }

  #pieceOf({ parameter, begin, end }: Tile): Omit<Piece, "pass"> {
    const tensor = this.#tensors[parameter];
    const row = tensor.length / tensor.shape[0];
    return { tensor, begin: begin * row, end: end * row, workspace: 0 };
  }

  /**
   * Writes the evaluation weights of this thread's blocks after `step` steps, if they differ from
   * the trained weights.
   */
  evaluate(step: number): void {
    for (const { parameter, begin, end } of this.#blocks) {
      const tensor = this.#tensors[parameter];
      this.#optimizers[tensor.group!].evaluate?.(tensor, begin, end);
      this.#averages?.standIn(step, parameter, begin, end);
    }
  }

  /**
   * Copies the evaluation weights of this thread's share of all weights to the best ones. One
   * thread copies the buffers.
   */
  keepBest(): void {
    for (const { parameter, begin, end } of weightBlocks(this.#plan, this.#thread)) {
      const { evaluated, best } = this.#plan.parameters[parameter];
      this.#kernels.u8.copyWithin(best + begin * 4, evaluated + begin * 4, evaluated + end * 4);
    }
    if (this.#thread !== 0) return;
    for (const buffer of this.#plan.buffers)
      this.#kernels.u8.copyWithin(buffer.best, buffer.address, buffer.address + bufferBytes(buffer));
  }
}

/** Whether a pass can run on a tile as soon as its gradient is there. */
function isElementwise({ over, sums, covers }: Pass): boolean {
  return over !== "tensors" && !sums && covers === undefined;
}

/** The pass of a round that works on a tensor. Undefined: there is none. */
function passOf(tensor: Tensor, round: Round): Pass | undefined {
  const pass = tensor.group === null ? undefined : round[tensor.group];
  return (pass?.covers?.(tensor) ?? true) ? pass : undefined;
}

const blocksOf = (tensor: ParameterTensor): number => Math.ceil(tensor.length / SUM_BLOCK);
