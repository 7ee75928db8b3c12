import { MAX_SUMS, SUM_BLOCK, type StateTensor } from "../optimizers/optimizer.ts";
import type { Member } from "../settings.ts";
import { scoresPerRow } from "../metrics/scores.ts";
import { batchesPerStep, evaluatesOthers } from "../job.ts";
import { CONTROL_BYTES, LOG_BYTES } from "../crew/control.ts";
import { learningGroups, type LearningGroup } from "./groups.ts";
import { LINE, MAX_MEMORY_BYTES, MemoryMap, type Region } from "./memory.ts";
import { size, type Shape } from "../member/shape.ts";
import {
  PlanError,
  shapeModel,
  type PlanFault,
  type PlanInput,
  type PlannedTraining,
  type ShapedLayer,
  type ShapedModel,
  type ShapedParameter,
} from "./shapes.ts";

/*
 * From a model's layers to a plan: every shape, every parameter, and the address of every byte that
 * training will touch. Nothing is allocated afterwards. A plan is plain data and a pure function of
 * its input. It is computed once when a job is posted, to check the job and estimate its size, and
 * once when the job runs. It is then sent to the threads.
 *
 * The state (weights, the optimizer's tensors, evaluation weights, best weights) is one contiguous
 * region. So a checkpoint is one copy of the region into the snapshot buffer, and each thread
 * copies an equal part of it.
 */

export interface PlannedLayer {
  readonly name: string;
  /** The layer with inferred options filled in, as the resolved spec shows it. */
  readonly member: Member;
  readonly inputShape: Shape;
  readonly outputShape: Shape;
  readonly input: number;
  readonly output: number;
  readonly inputGradient: number;
  readonly outputGradient: number;
  /** Indexes into the plan's parameters. */
  readonly parameters: readonly number[];
}

export interface PlannedParameter extends ShapedParameter {
  readonly weight: number;
  /** 0 if it is frozen. */
  readonly gradient: number;
  /** The optimizer's tensors, in its order; none if it is frozen. */
  readonly state: readonly PlannedState[];
  /**
   * The weights that are evaluated and served: `weight` itself, unless the optimizer has others or
   * averages are taken.
   */
  readonly evaluated: number;
  /** Best weights, 0 unless they are kept. */
  readonly best: number;
  /** The number of rows in one unit. A thread or tile always has whole units. */
  readonly unitRows: number;
  /**
   * The number of this tensor's first SUM_BLOCK. Blocks of parameters that learn are counted first,
   * then those of frozen ones.
   */
  readonly firstBlock: number;
}

/** One of the optimizer's tensors for a parameter. */
export interface PlannedState extends Required<StateTensor> {
  readonly address: number;
}

export interface Plan {
  readonly layers: readonly PlannedLayer[];
  readonly parameters: readonly PlannedParameter[];
  /** The groups that learn: the optimizer's own group comes first. */
  readonly groups: readonly LearningGroup[];
  readonly parameterCount: number;
  readonly evaluatesOthers: boolean;
  readonly outputs: number;
  readonly termsPerSample: number;
  /** How many scores an evaluation records of each row (scores.ts). */
  readonly scoresPerRow: number;
  readonly inputSize: number;
  readonly batchRows: number;
  /**
   * The rows that the activation buffers hold: at least a batch, one row a thread, and enough rows
   * for a fast evaluation.
   */
  readonly capacityRows: number;
  /** SUM_BLOCKs of the parameters that learn, and of all parameters. */
  readonly blocks: number;
  readonly weightBlocks: number;
  readonly threads: number;
  readonly scratchBytes: number;
  readonly addresses: Addresses;
  readonly regions: readonly Region[];
  readonly memoryBytes: number;
  /** Bytes of a checkpoint, within a few per cent. */
  readonly stateBytes: number;
}

/** The addresses of everything that belongs to no single layer or parameter. */
export interface Addresses {
  readonly control: number;
  readonly log: number;
  readonly scratch: number;
  /** The state; the weights come first in it. */
  readonly state: number;
  readonly stateBytes: number;
  readonly weightBytes: number;
  readonly snapshot: number;
  readonly order: number;
  readonly targets: number;
  readonly terms: number;
  readonly lossConstants: number;
  readonly logLossConstants: number;
  readonly sums: number;
  readonly evaluation: number;
  readonly scores: number;
  /**
   * The sum of the gradients of a step's batches so far, in the layout of the weights. Only if a
   * step has several batches.
   */
  readonly accumulated: number;
  /** For observed jobs: the weights before the step, and sums and counts (observer.ts). */
  readonly previous: number;
  readonly observation: number;
}

/** The minimum scratch of one thread: the packed panel of the matrix product. */
const SCRATCH_BYTES = 16384;

/** The approximate bytes of a tensor's entry in the header of a state file. */
const TENSOR_HEADER_BYTES = 128;

/** Doubles recorded for each row that is evaluated: loss, divisor, target, prediction, log loss. */
export const EVALUATION_DOUBLES = 5;

/**
 * Doubles of one block of a tensor: two banks of the optimizer's sums, which it uses in turn, then
 * the gradient norm's.
 */
export const SUM_STRIDE = 2 * MAX_SUMS + 1;

/** Which of them is the norm's. */
export const NORM_SUM = 2 * MAX_SUMS;

/** Doubles of one block of a tensor in an observed step (observer.ts). */
export const OBSERVED_DOUBLES = 5;

/** The rows that are evaluated at once if the batch is smaller: enough for fast matrix products. */
const EVALUATION_ROWS = 256;

/** @throws PlanError with every fault. */
export function planModel(input: PlanInput): Plan {
  const model = shapeModel(input);
  const { layers, loss, optimizer, outputs } = model;
  const map = new MemoryMap();
  const control = map.take("control", CONTROL_BYTES);
  const log = map.take("log", LOG_BYTES);
  const shapes = model.parameters.filter(learns).map(({ shape }) => shape);
  const scratchBytes = Math.max(SCRATCH_BYTES, ...shapes.map((shape) => roundUp(optimizer.scratch(shape), LINE)));
  const scratch = map.take("scratch", scratchBytes * input.threads);
  const state = map.end;
  const kept = placeState(map, model, input);
  const stateBytes = map.end - state;
  const parameters = placeGradients(map, kept, input.training);
  const learning = parameters.filter(learns);
  const blocks = sum(learning, blocksOf);
  const capacityRows = Math.max(input.batchRows, Math.min(input.evaluatedRows, EVALUATION_ROWS), input.threads);
  const places = placeActivations(map, layers, input.inputShape, capacityRows, learning.at(0)?.layer ?? layers.length);
  const termsPerSample = loss.terms(outputs);
  const weightBytes = sum(parameters, ({ length }) => roundUp(length * 4, LINE));
  const scores = loss.targets === "value" ? 0 : scoresPerRow(Math.max(outputs, 2), input.evaluatedRows);
  const addresses: Addresses = {
    control,
    log,
    scratch,
    state,
    stateBytes,
    weightBytes,
    snapshot: map.take("snapshot", stateBytes),
    order: map.take("order", input.trainRows * 4),
    targets: map.take("targets", capacityRows * input.target.width * 4),
    terms: map.take("terms", capacityRows * termsPerSample * 4),
    lossConstants: map.take("loss constants", outputs * 8),
    logLossConstants: map.take("log loss constants", outputs * 8),
    sums: map.take("sums", blocks * SUM_STRIDE * 8),
    evaluation: map.take("evaluation", input.evaluatedRows * EVALUATION_DOUBLES * 8),
    scores: map.take("scores", input.evaluatedRows * scores * 4),
    accumulated: map.take("accumulated gradients", batchesPerStep(input.training ?? {}) > 1 ? weightBytes : 0),
    previous: map.take("previous weights", input.observed ? weightBytes : 0),
    observation: map.take(
      "observation",
      input.observed ? (blocks * OBSERVED_DOUBLES + layers.length * input.threads) * 8 : 0,
    ),
  };
  if (map.end > MAX_MEMORY_BYTES) throw new PlanError([tooLarge(map.end)]);
  return {
    layers: layers.map((layer, i) => plannedLayer(layer, i, places, parameters)),
    parameters,
    groups: learningGroups(input.optimizer, input.groups),
    parameterCount: sum(parameters, ({ length }) => length),
    evaluatesOthers: evaluatesOthers(optimizer.type, input.training),
    outputs,
    termsPerSample,
    scoresPerRow: scores,
    inputSize: size(input.inputShape),
    batchRows: input.batchRows,
    capacityRows,
    blocks,
    weightBlocks: sum(parameters, blocksOf),
    threads: input.threads,
    scratchBytes,
    addresses,
    regions: map.regions,
    memoryBytes: map.end,
    stateBytes: stateBytes + sum(parameters, stateTensors) * TENSOR_HEADER_BYTES + 4096,
  };
}

interface BufferPair {
  readonly value: number;
  readonly gradient: number;
}

function plannedLayer(
  layer: ShapedLayer,
  i: number,
  places: readonly BufferPair[],
  parameters: readonly PlannedParameter[],
): PlannedLayer {
  return {
    name: layer.name,
    member: layer.member,
    inputShape: layer.input,
    outputShape: layer.output,
    input: places[i].value,
    output: places[i + 1].value,
    inputGradient: places[i].gradient,
    outputGradient: places[i + 1].gradient,
    parameters: parameters.flatMap((parameter, index) => (parameter.layer === i ? [index] : [])),
  };
}

function tooLarge(bytes: number): PlanFault {
  const gib = (bytes / 2 ** 30).toFixed(1);
  return {
    pointer: "/model",
    message: `needs ${gib} GiB of memory; a job has less than 4 GiB: make the model or the batch smaller`,
  };
}

const roundUp = (bytes: number, unit: number): number => Math.ceil(bytes / unit) * unit;

type KeptParameter = Omit<PlannedParameter, "gradient" | "unitRows" | "firstBlock">;

/** The state: weights, optimizer state, evaluation and best weights, in that order. */
function placeState(
  map: MemoryMap,
  { parameters, optimizer }: ShapedModel,
  { training, keepBest }: PlanInput,
): KeptParameter[] {
  const take = (what: string, { name, length }: ShapedParameter) => map.take(`${what} ${name}`, length * 4);
  const weights = parameters.map((parameter) => take("weight", parameter));
  const states = parameters.map(({ name, shape, group }) =>
    (group === null ? [] : optimizer.state(shape)).map((tensor): PlannedState => {
      const own = { shape, ...tensor };
      return { ...own, address: map.take(`${own.name} ${name}`, size(own.shape) * 4) };
    }),
  );
  const others = evaluatesOthers(optimizer.type, training);
  const evaluated = parameters.map((parameter, i) =>
    others && parameter.group !== null ? take("evaluated", parameter) : weights[i],
  );
  const best = parameters.map((parameter) => (keepBest ? take("best", parameter) : 0));
  return parameters.map((parameter, i) => ({
    ...parameter,
    weight: weights[i],
    state: states[i],
    evaluated: evaluated[i],
    best: best[i],
  }));
}

/** Tensors that a state file holds for a parameter. */
function stateTensors({ weight, evaluated, best, state }: PlannedParameter): number {
  return 1 + state.length + Number(evaluated !== weight) + Number(best !== 0);
}

/** Gets addresses for the gradients of the parameters that learn, and numbers all blocks. */
function placeGradients(
  map: MemoryMap,
  kept: readonly KeptParameter[],
  { clip_grad_adaptive = null }: PlannedTraining = {},
): PlannedParameter[] {
  const firstBlocks = new Map<KeptParameter, number>();
  let next = 0;
  for (const parameter of [...kept.filter(learns), ...kept.filter((parameter) => !learns(parameter))]) {
    firstBlocks.set(parameter, next);
    next += blocksOf(parameter);
  }
  return kept.map((parameter) => ({
    ...parameter,
    gradient: learns(parameter) ? map.take(`gradient ${parameter.name}`, parameter.length * 4) : 0,
    unitRows: clip_grad_adaptive ? unitRows(parameter.shape) : 1,
    firstBlock: firstBlocks.get(parameter)!,
  }));
}

/**
 * The rows of a unit of adaptive clipping. A unit is a row of a matrix or a whole vector;
 * dimensions of length 1 do not count.
 */
function unitRows(shape: Shape): number {
  return shape.filter((length) => length !== 1).length > 1 ? 1 : shape[0];
}

const learns = ({ group }: ShapedParameter): boolean => group !== null;

const blocksOf = ({ length }: ShapedParameter): number => Math.ceil(length / SUM_BLOCK);

const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((total, item) => total + value(item), 0);

/**
 * The buffers between the layers: number i is layer i's input, number i + 1 its output. No gradient
 * is needed before the first layer that learns.
 */
function placeActivations(
  map: MemoryMap,
  shaped: readonly ShapedLayer[],
  inputShape: Shape,
  rows: number,
  firstLearning: number,
): BufferPair[] {
  return [inputShape, ...shaped.map((layer) => layer.output)].map((shape, i) => {
    const bytes = size(shape) * rows * 4;
    return {
      value: map.take(`activation ${i}`, bytes),
      gradient: i > firstLearning ? map.take(`activation gradient ${i}`, bytes) : 0,
    };
  });
}
