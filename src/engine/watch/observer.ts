import type { Kernels } from "../kernels/kernels.ts";
import { layers } from "../layers/registry.generated.ts";
import { addressOf } from "../plan/buffers.ts";
import { OBSERVED_DOUBLES, type Plan } from "../plan/model.ts";
import type { PlannedParameter } from "../plan/parameters.ts";
import { SUM_BLOCK } from "../optimizers/optimizer.ts";
import { size } from "../member/shape.ts";
import { parameterBlocks, share, type Block } from "../plan/slices.ts";
import type { Observe } from "../settings.ts";

/*
 * Observes a step without changing it: the norms of gradient, weights, update and moment estimates,
 * and the units that were positive for no sample of the step's last batch. Each thread measures its
 * blocks of the parameters before and after the update. The leader adds the sums of the blocks up
 * in ascending order. So the observation does not depend on the number of threads.
 *
 * An observed step writes its whole gradient before anything is updated, as a clipped step does.
 * The optimizer's passes then run over whole blocks instead of single tiles. The weights before the
 * step are kept in a region of their own, which only observed jobs have.
 */

/**
 * One layer in one step. Norms are 2-norms. The norm of a moment is null if the optimizer does not
 * keep one moment for every element.
 */
export interface LayerObservation {
  readonly name: string;
  /** How many of its weights and biases learn. Frozen ones are not observed. */
  readonly parameters: number;
  /** After clip_grad_value and clip_grad_adaptive, before clip_grad_norm and gradient_noise. */
  readonly gradientNorm: number;
  /** Of the weights before the step. */
  readonly weightNorm: number;
  readonly updateNorm: number;
  readonly firstMomentNorm: number | null;
  readonly secondMomentNorm: number | null;
  /**
   * The outputs of a layer whose units can die, and how many of them were positive for no sample. 0
   * outputs: the layer is of another kind, or the batch has too few rows to know.
   */
  readonly units: number;
  readonly deadUnits: number;
}

/**
 * The names that optimizers use for the average of the gradient, and for the average of its square.
 */
const FIRST_MOMENTS = new Set(["exp_avg", "exp_avg_fast", "momentum_buffer", "grad_avg"]);
const SECOND_MOMENTS = new Set(["exp_avg_sq", "square_avg", "sum", "accumulator", "exp_inf"]);

/** In a batch with fewer rows, units may be silent by chance. */
export const ENOUGH_ROWS = 16;

/** Doubles of a block: sums of squares. */
const SUM = { gradient: 0, weight: 1, update: 2, first: 3, second: 4 } as const;

export class Observer {
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #thread: number;
  readonly #everySteps: number;
  readonly #blocks: readonly Block[];
  /** The address of each parameter's moments. 0: it has none. */
  readonly #first: readonly number[];
  readonly #second: readonly number[];
  /** Layers whose units can die. */
  readonly #mortal: readonly number[];
  /**
   * Whether silent units are counted in this step: not if its last batch has too few rows while
   * other batches have enough.
   */
  #countsUnits = false;

  constructor(kernels: Kernels, plan: Plan, observe: Observe, thread: number) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#thread = thread;
    this.#everySteps = observe.every_steps;
    this.#blocks = parameterBlocks(plan, thread);
    this.#first = plan.parameters.map((parameter) => momentOf(parameter, FIRST_MOMENTS));
    this.#second = plan.parameters.map((parameter) => momentOf(parameter, SECOND_MOMENTS));
    this.#mortal = plan.nodes.flatMap(({ member }, i) => (isMortal(member.type) ? [i] : []));
  }

  /** Whether step number `step`, from 1, is to be looked at. */
  due(step: number): boolean {
    return step % this.#everySteps === 0;
  }

  /**
   * Called after the gradient is written and before anything is updated. `samples`: the samples of
   * the step's last batch.
   */
  before(samples: number): void {
    const { f64, u8 } = this.#kernels;
    for (const block of this.#blocks) {
      const { weight, gradient } = this.#plan.parameters[block.parameter];
      const [from, to] = [block.begin * 4, block.end * 4];
      const at = this.#sums(block);
      f64[at + SUM.gradient] = this.#squares(gradient, block);
      f64[at + SUM.weight] = this.#squares(weight, block);
      u8.copyWithin(this.#previous(weight) + from, weight + from, weight + to);
    }
    this.#countsUnits = samples >= Math.min(ENOUGH_ROWS, this.#plan.batchRows);
    this.#mortal.forEach((layer, i) => {
      f64[this.#units(this.#thread) + i] = this.#silentUnits(layer, samples);
    });
  }

  /** Called after everything is updated. */
  after(): void {
    const { f64 } = this.#kernels;
    for (const block of this.#blocks) {
      const { weight } = this.#plan.parameters[block.parameter];
      const offset = block.begin * 4;
      const at = this.#sums(block);
      const previous = this.#previous(weight);
      this.#kernels.subtract_from(weight + offset, previous + offset, block.end - block.begin);
      f64[at + SUM.update] = this.#squares(previous, block);
      const [first, second] = [this.#first[block.parameter], this.#second[block.parameter]];
      if (first !== 0) f64[at + SUM.first] = this.#squares(first, block);
      if (second !== 0) f64[at + SUM.second] = this.#squares(second, block);
    }
  }

  /**
   * The observations of all threads, for each layer that learns or whose units can die. The leader
   * calls this after all threads are done.
   */
  read(): LayerObservation[] {
    return this.#plan.nodes.flatMap(({ path: name, output, parameters: all }, layer) => {
      const parameters = all.filter((parameter) => this.#plan.parameters[parameter].group !== null);
      const mortal = this.#countsUnits ? this.#mortal.indexOf(layer) : -1;
      if (parameters.length === 0 && mortal === -1) return [];
      const norm = (sum: number) =>
        Math.sqrt(parameters.reduce((total, parameter) => total + this.#sumOf(parameter, sum), 0));
      const kept = (moments: readonly number[]) =>
        parameters.length > 0 && parameters.every((parameter) => moments[parameter] !== 0);
      const observation: LayerObservation = {
        name,
        parameters: parameters.reduce((count, parameter) => count + this.#plan.parameters[parameter].length, 0),
        gradientNorm: norm(SUM.gradient),
        weightNorm: norm(SUM.weight),
        updateNorm: norm(SUM.update),
        firstMomentNorm: kept(this.#first) ? norm(SUM.first) : null,
        secondMomentNorm: kept(this.#second) ? norm(SUM.second) : null,
        units: mortal === -1 ? 0 : size(this.#plan.values[output].shape),
        deadUnits: mortal === -1 ? 0 : this.#deadUnits(mortal),
      };
      return [observation];
    });
  }

  /** Sum number `sum` of one parameter, over its blocks in ascending order. */
  #sumOf(parameter: number, sum: number): number {
    const { firstBlock, length } = this.#plan.parameters[parameter];
    const end = firstBlock + Math.ceil(length / SUM_BLOCK);
    let total = 0;
    for (let block = firstBlock; block < end; block++)
      total += this.#kernels.f64[(this.#plan.addresses.observation >>> 3) + block * OBSERVED_DOUBLES + sum];
    return total;
  }

  #deadUnits(mortal: number): number {
    let count = 0;
    for (let thread = 0; thread < this.#plan.threads; thread++)
      count += this.#kernels.f64[this.#units(thread) + mortal];
    return count;
  }

  /** The number of silent units in this thread's share of a layer's units. */
  #silentUnits(layer: number, samples: number): number {
    const { output } = this.#plan.nodes[layer];
    const width = size(this.#plan.values[output].shape);
    const { training, addresses } = this.#plan;
    const [begin, end] = share(width, this.#thread, this.#plan.threads);
    const address = addressOf(training, addresses.activations, this.#thread, training.values[output]);
    return this.#kernels.silent_units(address, samples, width, begin, end);
  }

  #squares(address: number, { begin, end }: Block): number {
    return this.#kernels.norm_part(address + begin * 4, end - begin, 2);
  }

  /** The address of the copy of a parameter's weights before the step. */
  #previous(weight: number): number {
    return this.#plan.addresses.previous + weight - this.#plan.addresses.state;
  }

  /** Index of the first double of a block; its number is where its other sums lie. */
  #sums({ parameter, begin }: Block): number {
    const number = this.#plan.parameters[parameter].firstBlock + begin / SUM_BLOCK;
    return (this.#plan.addresses.observation >>> 3) + number * OBSERVED_DOUBLES;
  }

  /** Index of the first of a thread's counts of units. */
  #units(thread: number): number {
    const { addresses, blocks, nodes } = this.#plan;
    return (addresses.observation >>> 3) + blocks * OBSERVED_DOUBLES + thread * nodes.length;
  }
}

/**
 * The address of the optimizer's tensor with one of these names if it has a moment for each element
 * of the parameter; else 0.
 */
function momentOf({ state, shape: whole }: PlannedParameter, names: ReadonlySet<string>): number {
  return state.find(({ name, shape }) => names.has(name) && String(shape) === String(whole))?.address ?? 0;
}

function isMortal(type: string): boolean {
  return layers[type].mortal ?? false;
}

/**
 * All layers together: a norm over several layers is the root of the sum of their norms' squares.
 */
export function wholeModel(observed: readonly LayerObservation[]): Omit<LayerObservation, "name"> {
  const sum = (value: (layer: LayerObservation) => number) =>
    observed.reduce((total, layer) => total + value(layer), 0);
  const norm = (value: (layer: LayerObservation) => number | null) =>
    Math.sqrt(sum((layer) => (value(layer) ?? 0) ** 2));
  const learning = observed.filter(({ parameters }) => parameters > 0);
  const all = (value: (layer: LayerObservation) => number | null) => learning.every((layer) => value(layer) !== null);
  return {
    parameters: sum((layer) => layer.parameters),
    gradientNorm: norm((layer) => layer.gradientNorm),
    weightNorm: norm((layer) => layer.weightNorm),
    updateNorm: norm((layer) => layer.updateNorm),
    firstMomentNorm: all((layer) => layer.firstMomentNorm) ? norm((layer) => layer.firstMomentNorm) : null,
    secondMomentNorm: all((layer) => layer.secondMomentNorm) ? norm((layer) => layer.secondMomentNorm) : null,
    units: sum((layer) => layer.units),
    deadUnits: sum((layer) => layer.deadUnits),
  };
}

/**
 * The root mean square of the gradient in the first layer that learns, divided by that in the last
 * one. NaN if both are 0.
 */
export function gradientFade(observed: readonly LayerObservation[]): number {
  const learning = observed.filter(({ parameters }) => parameters > 0);
  const size = ({ gradientNorm, parameters }: LayerObservation) => gradientNorm / Math.sqrt(parameters);
  return size(learning[0]) / size(learning[learning.length - 1]);
}

/**
 * The metrics of an observed step by name; per layer `<name>.<layer>`. A ratio whose divisor is 0
 * is left out.
 */
export function observedMetrics(
  observed: readonly LayerObservation[],
  clippedFraction: number | null,
  perLayer: boolean,
): Record<string, number> {
  const all = named(wholeModel(observed), "");
  if (clippedFraction !== null) all.clipped_fraction = clippedFraction;
  return perLayer ? Object.assign(all, ...observed.map((layer) => named(layer, `.${layer.name}`))) : all;
}

function named(seen: Omit<LayerObservation, "name">, suffix: string): Record<string, number> {
  const { gradientNorm, weightNorm, updateNorm, firstMomentNorm, secondMomentNorm, parameters, units, deadUnits } =
    seen;
  const metrics: Record<string, number> = {};
  if (parameters > 0) metrics[`grad_norm${suffix}`] = gradientNorm;
  if (weightNorm > 0) metrics[`update_ratio${suffix}`] = updateNorm / weightNorm;
  if (gradientNorm > 0) metrics[`effective_learning_rate${suffix}`] = updateNorm / gradientNorm;
  if (parameters > 0 && firstMomentNorm !== null) metrics[`first_moment_norm${suffix}`] = firstMomentNorm;
  if (parameters > 0 && secondMomentNorm !== null) metrics[`second_moment_norm${suffix}`] = secondMomentNorm;
  if (units > 0) metrics[`dead_fraction${suffix}`] = deadUnits / units;
  return metrics;
}
