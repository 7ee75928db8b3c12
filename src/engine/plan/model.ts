import { MAX_SUMS } from "../optimizers/optimizer.ts";
import type { Member } from "../settings.ts";
import { scoresPerRow } from "../metrics/scores.ts";
import { batchesPerStep, evaluatesOthers } from "../job.ts";
import { MIN_SCRATCH_BYTES, type Value } from "../layers/layer.ts";
import { layers } from "../layers/registry.generated.ts";
import { hasLogLoss } from "../losses/targets.ts";
import { CONTROL_BYTES, LOG_BYTES } from "../crew/control.ts";
import { passBytes, planPass, type PassPlan } from "./buffers.ts";
import { PlanError } from "./faults.ts";
import { layerStream, type Node } from "./graph.ts";
import { learningGroups, type LearningGroup } from "./groups.ts";
import { LINE, MAX_MEMORY_BYTES, MemoryMap, tooLarge, type Component, type Region } from "./memory.ts";
import { size, type Shape } from "../member/shape.ts";
import {
  blocksOf,
  learns,
  placeGradients,
  type KeptParameter,
  type PlannedParameter,
  type PlannedState,
} from "./parameters.ts";
import { shapeModel, type PlanInput, type ShapedBuffer, type ShapedModel, type ShapedParameter } from "./shapes.ts";

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

/** A node of the graph with its parameters and buffers. */
export interface PlannedNode extends Node {
  /** Indexes into the plan's parameters. */
  readonly parameters: readonly number[];
  /** Addresses of its buffers. */
  readonly buffers: readonly number[];
  /** The address of the floats of its mixing stages; 0 if it does not mix. */
  readonly mixed: number;
  /** Whether it leaves its statistics as they are while training. */
  readonly isStill: boolean;
  /** The stream of its random numbers. */
  readonly stream: number;
}

/** State that does not learn. */
export interface PlannedBuffer extends ShapedBuffer {
  readonly address: number;
  /** Its copy with the best weights, 0 unless they are kept. */
  readonly best: number;
}

export interface Plan {
  readonly values: readonly Value[];
  readonly nodes: readonly PlannedNode[];
  /** The model's layers as the spec has them, with names and inferred options filled in. */
  readonly layers: readonly Member[];
  readonly parameters: readonly PlannedParameter[];
  readonly buffers: readonly PlannedBuffer[];
  /** How samples pass through the network while it trains, and where it is only evaluated. */
  readonly training: PassPlan;
  readonly evaluation: PassPlan;
  /** The number of the value that the loss looks at. */
  readonly output: number;
  /** The groups that learn: the optimizer's own group comes first. */
  readonly groups: readonly LearningGroup[];
  readonly parameterCount: number;
  readonly evaluatesOthers: boolean;
  /** What the loss wants of the model for a sample: its shape, and the classes or values in it. */
  readonly prediction: Shape;
  readonly outputs: number;
  /** Targets of a sample: values, or positions that each have a class. */
  readonly targetSize: number;
  readonly termsPerSample: number;
  /** How many scores an evaluation records of each target (scores.ts). */
  readonly scoresPerTarget: number;
  readonly batchRows: number;
  /** SUM_BLOCKs of the parameters that learn, and of all parameters. */
  readonly blocks: number;
  readonly weightBlocks: number;
  readonly threads: number;
  readonly scratchBytes: number;
  readonly addresses: Addresses;
  readonly regions: readonly Region[];
  readonly memoryBytes: number;
  /** What the bytes are for. */
  readonly memory: Readonly<Record<Component, number>>;
  /** Bytes of a checkpoint, within a few per cent. */
  readonly stateBytes: number;
}

/** The addresses of everything that belongs to no single layer or parameter. */
export interface Addresses {
  readonly control: number;
  readonly log: number;
  readonly scratch: number;
  /** What passes between the layers. Training and evaluation use the region in turn. */
  readonly activations: number;
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

/** The approximate bytes of a tensor's entry in the header of a state file. */
const TENSOR_HEADER_BYTES = 128;

/**
 * Doubles recorded for each target that is evaluated: loss, divisor, target, prediction, log loss.
 */
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
  const { graph, loss, optimizer, prediction } = model;
  const map = new MemoryMap();
  const control = map.take("other", "control", CONTROL_BYTES);
  const log = map.take("other", "log", LOG_BYTES);
  const targetSize = size(input.target.shape);
  const scratchBytes = Math.max(scratchOf(model), roundUp(targetSize * 4, LINE));
  const scratch = map.take("other", "scratch", scratchBytes * input.threads);
  const state = map.end;
  const kept = placeState(map, model, input);
  const stateBytes = map.end - state;
  const groups = learningGroups(input.optimizer, input.groups);
  const parameters = placeGradients(map, kept.parameters, groups, input.training);
  const learning = parameters.filter(learns);
  const blocks = sum(learning, blocksOf);
  const nodes = placeNodes(map, model, kept.buffers);
  const passes = planPasses(model, learning, input);
  const activations = map.take("activations", "activations", passes.bytes);
  const outputs = loss.elementwise ? size(prediction) : prediction[prediction.length - 1];
  const termsPerSample = loss.terms(prediction);
  const rows = Math.max(passes.training.rows, passes.evaluation.rows) * input.threads;
  const weightBytes = sum(parameters, ({ length }) => roundUp(length * 4, LINE));
  const recorded = input.evaluatedRows * targetSize;
  const scores = hasLogLoss(loss) ? scoresPerRow(Math.max(outputs, 2), recorded) : 0;
  const addresses: Addresses = {
    control,
    log,
    scratch,
    activations,
    state,
    stateBytes,
    weightBytes,
    snapshot: map.take("checkpoint_copy", "snapshot", stateBytes),
    order: map.take("data", "order", input.trainRows * 4),
    targets: map.take("data", "targets", rows * targetSize * 4),
    terms: map.take("other", "terms", rows * termsPerSample * 4),
    lossConstants: map.take("other", "loss constants", outputs * 8),
    logLossConstants: map.take("other", "log loss constants", outputs * 8),
    sums: map.take("other", "sums", blocks * SUM_STRIDE * 8),
    evaluation: map.take("evaluation", "evaluation", recorded * EVALUATION_DOUBLES * 8),
    scores: map.take("evaluation", "scores", recorded * scores * 4),
    accumulated: map.take(
      "gradients",
      "accumulated gradients",
      batchesPerStep(input.training ?? {}) > 1 ? weightBytes : 0,
    ),
    previous: map.take("other", "previous weights", input.observed ? weightBytes : 0),
    observation: map.take(
      "other",
      "observation",
      input.observed ? (blocks * OBSERVED_DOUBLES + nodes.length * input.threads) * 8 : 0,
    ),
  };
  if (map.end > MAX_MEMORY_BYTES) throw new PlanError([tooLarge(map.end)]);
  return {
    values: graph.values,
    nodes,
    layers: graph.layers,
    parameters,
    buffers: kept.buffers,
    training: passes.training,
    evaluation: passes.evaluation,
    output: graph.output,
    groups,
    parameterCount: sum(parameters, ({ length }) => length),
    evaluatesOthers: evaluatesOthers(optimizer.type, input.training),
    prediction,
    outputs,
    targetSize,
    termsPerSample,
    scoresPerTarget: scores,
    batchRows: input.batchRows,
    blocks,
    weightBlocks: sum(parameters, blocksOf),
    threads: input.threads,
    scratchBytes,
    addresses,
    regions: map.regions,
    memoryBytes: map.end,
    memory: map.components,
    stateBytes: stateBytes + (sum(parameters, stateTensors) + 2 * kept.buffers.length) * TENSOR_HEADER_BYTES + 4096,
  };
}

/** Scratch of a thread: the most that a layer or the optimizer wants. */
function scratchOf({ graph, parameters, optimizer }: ShapedModel): number {
  const shapes = parameters.filter(learns).map(({ shape }) => shape);
  const wanted = [
    ...graph.nodes.map(({ shape }) => shape.scratch ?? 0),
    ...shapes.map((shape) => optimizer.scratch(shape)),
  ];
  return wanted.reduce((most, bytes) => Math.max(most, roundUp(bytes, LINE)), MIN_SCRATCH_BYTES);
}

function planPasses(
  { graph }: ShapedModel,
  learning: readonly PlannedParameter[],
  { batchRows, evaluatedRows, threads, observed = false }: PlanInput,
): { training: PassPlan; evaluation: PassPlan; bytes: number } {
  const slab = (rows: number) => Math.max(1, Math.ceil(rows / threads));
  const mortal = graph.nodes.flatMap(({ member }, i) => (observed && layers[member.type].mortal ? [i] : []));
  const training = planPass(graph, {
    rows: slab(batchRows),
    threads,
    learning: new Set(learning.flatMap(({ uses }) => uses.map(({ node }) => node))),
    watched: new Set(mortal),
  });
  const evaluation = planPass(graph, {
    rows: slab(Math.min(evaluatedRows, Math.max(batchRows, EVALUATION_ROWS))),
    threads,
    learning: null,
  });
  return { training, evaluation, bytes: Math.max(passBytes(training, threads), passBytes(evaluation, threads)) };
}

export function placeNodes(
  map: MemoryMap,
  { graph, parameters, still }: Pick<ShapedModel, "graph" | "parameters" | "still">,
  buffers: readonly PlannedBuffer[],
): PlannedNode[] {
  const nodes = graph.nodes.map((node, number) => ({
    ...node,
    isStill: still.has(number),
    parameters: node.shape.parameters.map(() => -1),
    buffers: [] as number[],
    mixed: node.shape.mixes ? map.take("activations", `mixed ${node.path}`, node.shape.mixes.floats * 4) : 0,
    // It takes a hash, which few layers need.
    stream: layers[node.member.type].random === undefined ? 0 : layerStream(node),
  }));
  for (const [number, { uses }] of parameters.entries())
    for (const { node, index } of uses) nodes[node].parameters[index] = number;
  for (const { node, address } of buffers) nodes[node].buffers.push(address);
  return nodes;
}

const roundUp = (bytes: number, unit: number): number => Math.ceil(bytes / unit) * unit;

/** The state: weights, optimizer state, evaluation and best weights, and buffers, in that order. */
function placeState(
  map: MemoryMap,
  { parameters, buffers, optimizer }: ShapedModel,
  { training, keepBest }: PlanInput,
): { parameters: KeptParameter[]; buffers: PlannedBuffer[] } {
  const take = (what: string, { name, length }: ShapedParameter) => map.take("weights", `${what} ${name}`, length * 4);
  const weights = parameters.map((parameter) => take("weight", parameter));
  const states = parameters.map(({ name, shape, group }) =>
    (group === null ? [] : optimizer.state(shape)).map((tensor): PlannedState => {
      const own = { shape, ...tensor };
      return { ...own, address: map.take("optimizer_state", `${own.name} ${name}`, size(own.shape) * 4) };
    }),
  );
  const others = evaluatesOthers(optimizer.type, training);
  const evaluated = parameters.map((parameter, i) =>
    others && parameter.group !== null ? take("evaluated", parameter) : weights[i],
  );
  const best = parameters.map((parameter) => (keepBest ? take("best", parameter) : 0));
  return {
    parameters: parameters.map((parameter, i) => ({
      ...parameter,
      weight: weights[i],
      state: states[i],
      evaluated: evaluated[i],
      best: best[i],
    })),
    buffers: buffers.map((buffer) => {
      const place = (what: string) => map.take("weights", `${what} ${buffer.name}`, bufferBytes(buffer));
      return { ...buffer, address: place("buffer"), best: keepBest ? place("best") : 0 };
    }),
  };
}

/** Bytes of a buffer's numbers. */
export function bufferBytes({ shape, type }: Pick<ShapedBuffer, "shape" | "type">): number {
  return size(shape) * (type === "int64" ? 8 : 4);
}

/** Tensors that a state file holds for a parameter. */
function stateTensors({ weight, evaluated, best, state }: PlannedParameter): number {
  return 1 + state.length + Number(evaluated !== weight) + Number(best !== 0);
}

const sum = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((total, item) => total + value(item), 0);
