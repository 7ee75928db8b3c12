import type { LossType, TargetShape } from "../losses/loss.ts";
import { LossFault } from "../losses/loss.ts";
import { batchesPerStep } from "../job.ts";
import type { BufferShape, ParameterShape } from "../layers/layer.ts";
import { layers } from "../layers/registry.generated.ts";
import { losses } from "../losses/registry.generated.ts";
import { keepsStatistics, learningGroupOf } from "./groups.ts";
import { PlanError, type PlanFault } from "./faults.ts";
import { buildGraph, layerStream, streamOf, type Graph, type NamedValue } from "./graph.ts";
import { nameFaults } from "./names.ts";
import { configure } from "../optimizers/configure.ts";
import type { ConfiguredOptimizer } from "../optimizers/optimizer.ts";
import type { OptionFault } from "../member/options.ts";
import { shapeText, size, type Shape } from "../member/shape.ts";
import type { Training, ParameterGroup, Member } from "../settings.ts";

/*
 * Whether layers, loss, optimizer and target fit together, and the shapes that follow: from the
 * first layer's input to the outputs that the loss wants. All faults are found at once, unless one
 * fault hides another.
 */

export type PlannedTraining = Pick<
  Training,
  "gradient_accumulation_steps" | "clip_grad_adaptive" | "gradient_noise" | "averaging"
>;

export interface PlanInput {
  readonly model: { readonly layers: readonly Member[] };
  readonly loss: Member;
  readonly optimizer: Member;
  /** Parts of the model that learn in another way, or not at all. Default: none. */
  readonly groups?: readonly ParameterGroup[];
  /** What the data give for one sample; a first layer takes the first one. */
  readonly inputs: readonly NamedValue[];
  readonly target: TargetShape;
  readonly batchRows: number;
  /** Rows of the smallest batch of an epoch. */
  readonly smallestBatch: number;
  readonly trainRows: number;
  /** The rows of an evaluation, whichever has the most. */
  readonly evaluatedRows: number;
  readonly threads: number;
  readonly keepBest: boolean;
  /**
   * The part of a job's `training` that takes memory or does not work with every optimizer.
   * Default: the defaults of its fields.
   */
  readonly training?: PlannedTraining;
  /** Whether steps will be observed, which takes room for the weights before them. */
  readonly observed?: boolean;
}

/** A parameter, in the order of the nodes. */
export interface ShapedParameter extends ParameterShape {
  /** PyTorch's name: the node's path, a dot, and the parameter's own name. */
  readonly name: string;
  readonly length: number;
  /** The nodes that use it: the one that has it first, then those that are tied to it. */
  readonly uses: readonly ParameterUse[];
  /** The stream of the random numbers that it starts with. */
  readonly stream: number;
  /** Which of the learning groups it belongs to (groups.ts); null: it is frozen. */
  readonly group: number | null;
}

export interface ParameterUse {
  readonly node: number;
  /** Its number among the node's parameters, and its name there. */
  readonly index: number;
  readonly name: string;
}

/** State of a node that does not learn. */
export interface ShapedBuffer extends BufferShape {
  readonly name: string;
  readonly node: number;
}

export interface ShapedModel {
  readonly graph: Graph;
  readonly parameters: readonly ShapedParameter[];
  readonly buffers: readonly ShapedBuffer[];
  /** Nodes that leave their statistics as they are while training. */
  readonly still: ReadonlySet<number>;
  readonly loss: LossType;
  readonly optimizer: ConfiguredOptimizer;
  /** What the loss wants the model to give for one sample. */
  readonly prediction: Shape;
}

/** @throws PlanError with every fault */
export function shapeModel(input: PlanInput): ShapedModel {
  const loss = losses[input.loss.type];
  const optimizer = configure(input.optimizer);
  const faults: PlanFault[] = optimizerFaults(optimizer.check());
  if (optimizer.type.evaluatesOthers && input.training?.averaging) {
    const message = `must be null: ${optimizer.type.type} is evaluated with averages of its own`;
    faults.push({ pointer: "/training/averaging", message });
  }
  if (optimizer.type.fullBatch) faults.push(...chanceFaults(input));
  const prediction = predictionOf(loss, input, faults);
  const graph = prediction && buildGraph(input.model.layers, input.inputs, prediction[prediction.length - 1], faults);
  faults.push(...nameFaults(input.model.layers));
  if (graph === null || prediction === null) throw new PlanError(faults);
  if (String(graph.values[graph.output].shape) !== String(prediction))
    faults.push(wrongOutput(graph, prediction, input));
  faults.push(...unusedFaults(graph), ...nodeFaults(graph, optimizer.type.fullBatch ?? false, input));
  const parameters = parametersOf(graph, input.groups, faults);
  if (parameters.length === 0)
    faults.push({ pointer: "/model/layers", message: "has nothing to train: add a linear layer" });
  const learning = parameters.filter(({ group }) => group !== null).map(({ shape }) => shape);
  faults.push(...optimizerFaults(optimizer.fits(learning)), ...streamFaults(graph, parameters));
  if (faults.length > 0) throw new PlanError(faults);
  const buffers = buffersOf(graph);
  const still = stillNodes(graph, input.groups);
  return { graph, parameters, buffers, still, loss, optimizer, prediction };
}

/**
 * Streams of initial values: the parameters of the layers at the top are counted, and the others
 * have streams of their own.
 */
export function parametersOf({ nodes }: Graph, groups: PlanInput["groups"], faults: PlanFault[]): ShapedParameter[] {
  /** By their names, and by those that are tied to them. */
  const parameters = new Map<string, ShapedParameter & { uses: ParameterUse[] }>();
  let counted = 0;
  for (const [node, { path, pointer, top, shape }] of nodes.entries()) {
    for (const [index, parameter] of shape.parameters.entries()) {
      const name = `${path}.${parameter.name}`;
      const use = { node, index, name };
      if (parameter.tiedTo === undefined) {
        const stream = top === null ? streamOf(name) : counted++;
        const group = learningGroupOf(name, groups);
        parameters.set(name, { ...parameter, name, length: size(parameter.shape), uses: [use], stream, group });
        continue;
      }
      const other = parameters.get(parameter.tiedTo);
      if (String(other?.shape) === String(parameter.shape)) {
        other!.uses.push(use);
        parameters.set(name, other!);
      } else faults.push({ pointer: `${pointer}/tied_to`, message: tiedFault(parameter, parameters) });
    }
  }
  return [...new Set(parameters.values())];
}

/** Most names that a message lists. */
const MAX_LISTED = 5;

function tiedFault({ tiedTo, shape }: ParameterShape, earlier: ReadonlyMap<string, ShapedParameter>): string {
  const other = earlier.get(tiedTo!);
  const what = other === undefined ? "no parameter of an earlier layer" : `of the shape ${shapeText(other.shape)}`;
  const fitting = [...earlier].filter(([, parameter]) => String(parameter.shape) === String(shape));
  const names = fitting.slice(0, MAX_LISTED).map(([name]) => JSON.stringify(name));
  const found = names.length === 0 ? "which no earlier layer has" : `such as ${names.join(", ")}`;
  return `is ${JSON.stringify(tiedTo)}, which is ${what}; this layer needs one of the shape ${shapeText(shape)}, ${found}`;
}

export function buffersOf({ nodes }: Graph): ShapedBuffer[] {
  return nodes.flatMap(({ path, shape: { buffers = [] } }, node) =>
    buffers.map((buffer) => ({ ...buffer, name: `${path}.${buffer.name}`, node })),
  );
}

function stillNodes(graph: Graph, groups: PlanInput["groups"]): Set<number> {
  if (!groups?.length) return new Set();
  const byNode = Map.groupBy(buffersOf(graph), ({ node }) => node);
  const still = [...byNode].filter(([, buffers]) =>
    keepsStatistics(
      buffers.map(({ name }) => name),
      groups,
    ),
  );
  return new Set(still.map(([node]) => node));
}

/** Two streams of random numbers that are the same, which two paths in 2^31 may have. */
function streamFaults({ nodes }: Graph, parameters: readonly ShapedParameter[]): PlanFault[] {
  const random = nodes.filter(({ member }) => layers[member.type].random?.(member));
  const twins = (streams: readonly { stream: number; name: string }[]) => {
    const names = new Map<number, string>();
    return streams.flatMap(({ stream, name }) => {
      const twin = names.get(stream);
      names.set(stream, name);
      if (twin === undefined) return [];
      return [
        { pointer: "/model/layers", message: `draws the same random numbers for ${twin} and ${name}: rename one` },
      ];
    });
  };
  return [...twins(parameters), ...twins(random.map((node) => ({ stream: layerStream(node), name: node.path })))];
}

/** Layers whose output reaches nothing. They would never learn. */
function unusedFaults({ nodes, output }: Graph): PlanFault[] {
  const taken = new Set(nodes.flatMap(({ inputs }) => inputs)).add(output);
  const pointers = new Set(nodes.filter((node) => !taken.has(node.output)).map(({ pointer }) => pointer));
  const message = "makes an output that nothing takes: name it in the inputs of a later layer, or leave the layer out";
  return Array.from(pointers, (pointer) => ({ pointer, message }));
}

/** Faults of single nodes, with this optimizer and these batches. */
function nodeFaults(graph: Graph, fullBatch: boolean, { optimizer, smallestBatch, groups }: PlanInput): PlanFault[] {
  const still = stillNodes(graph, groups);
  return graph.nodes.flatMap(({ pointer, path, member, shape: { mixes } }, node) => {
    const faults: PlanFault[] = [];
    if (fullBatch && layers[member.type].random?.(member))
      faults.push({ pointer, message: randomFault(optimizer.type) });
    if (mixes !== undefined && !still.has(node) && mixes.values * smallestBatch < 2) {
      const message = `(${path}) takes a mean over the batch, but the last batch of an epoch has a single row: set drop_last, or another batch_size`;
      faults.push({ pointer, message });
    }
    return faults;
  });
}

function optimizerFaults(faults: readonly OptionFault[]): PlanFault[] {
  return faults.map(({ option, message }) => ({ pointer: `/optimizer/${option}`, message }));
}

/** Faults of a job whose loss is a different function at every step. */
function chanceFaults({ optimizer, training = {}, batchRows, trainRows }: PlanInput): PlanFault[] {
  const faults: PlanFault[] = [];
  if (batchRows < trainRows) {
    const message = `${optimizer.type} compares losses of different weights, which must come from the same rows: set "full"`;
    faults.push({ pointer: "/training/batch_size", message });
  }
  if (batchesPerStep(training) > 1) {
    const message = `must be 1: ${optimizer.type} takes all rows as one batch`;
    faults.push({ pointer: "/training/gradient_accumulation_steps", message });
  }
  if (training.gradient_noise)
    faults.push({ pointer: "/training/gradient_noise", message: randomFault(optimizer.type) });
  return faults;
}

const randomFault = (optimizer: string): string =>
  `is random, and ${optimizer} compares losses of different weights: leave it out or use adam`;

const at = (pointer: string, option: string | null): string => (option === null ? pointer : `${pointer}/${option}`);

/**
 * What the loss wants the model to give for a sample. Null if the loss does not suit the target.
 */
function predictionOf(loss: LossType, input: PlanInput, faults: PlanFault[]): Shape | null {
  try {
    const prediction = loss.prediction(input.target);
    loss.check?.(input.loss, prediction[prediction.length - 1]);
    return prediction;
  } catch (error) {
    if (!(error instanceof LossFault)) throw error;
    faults.push({ pointer: at("/loss", error.option), message: error.message });
    return null;
  }
}

function wrongOutput({ nodes, values, output, layers }: Graph, prediction: Shape, input: PlanInput): PlanFault {
  const last = nodes.find((node) => node.output === output) ?? { pointer: "/model/layers", member: layers[0] };
  const option = typeof last.member.out_features === "number" ? "out_features" : null;
  const given = values[output].shape;
  return {
    pointer: at(last.pointer, option),
    message: `makes the model give ${shapeText(given)}, but ${input.loss.type} over ${targetText(input.target)} wants ${shapeText(prediction)}; ${outputRemedy(given, prediction)}`,
  };
}

function targetText({ classes, shape }: TargetShape): string {
  if (classes !== null) return `${classes} classes${shape.length > 0 ? ` at each place of ${shapeText(shape)}` : ""}`;
  return size(shape) === 1 ? "one target value" : `${size(shape)} target values`;
}

/** A last linear layer helps only where the dimensions before its own are right. */
function placesRemedy(given: Shape, prediction: Shape): string {
  const linear = "end with a linear layer and leave its out_features out";
  if (given.length > prediction.length)
    return `take the other dimensions away (flatten, mean, select, a pooling, or "output": "last_state" of a recurrent layer), and ${linear}`;
  if (given.length < prediction.length)
    return `keep the dimensions of the places (recurrent layers do with "output": "all"), and ${linear}`;
  if (String(given.slice(0, -1)) === String(prediction.slice(0, -1))) return linear;
  const differing = given.flatMap((length, dim) => (length === prediction[dim] ? [] : [dim]));
  const which =
    differing.length === 1 ? `dimension ${differing[0]} differs` : `dimensions ${differing.join(" and ")} differ`;
  return `${which}: look at the options of the layers before, such as stride, padding, out_channels and dim`;
}

/** Images have their channels first, and so has what a convolution makes of them. */
function outputRemedy(given: Shape, prediction: Shape): string {
  const places = prediction.slice(0, -1);
  const isTurned = places.length > 0 && String(given) === String([prediction[places.length], ...places]);
  if (!isTurned) return placesRemedy(given, prediction);
  const dims = [...places.map((_, dim) => dim + 1), 0];
  return `the classes come last: end with {"type": "permute", "dims": [${dims.join(", ")}]}`;
}
