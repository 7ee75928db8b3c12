import type { LossType } from "../losses/loss.ts";
import { LossFault } from "../losses/loss.ts";
import { batchesPerStep } from "../job.ts";
import { layers } from "../layers/registry.generated.ts";
import { LayerFault, type LayerShape, type ParameterShape } from "../layers/layer.ts";
import { losses } from "../losses/registry.generated.ts";
import { learningGroupOf } from "./groups.ts";
import { configure } from "../optimizers/configure.ts";
import type { ConfiguredOptimizer } from "../optimizers/optimizer.ts";
import type { OptionFault } from "../member/options.ts";
import { size, type Shape } from "../member/shape.ts";
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
  /** Shape of one sample. */
  readonly inputShape: Shape;
  /** `classes`: how many, or null for values; `width`: values per sample. */
  readonly target: { readonly classes: number | null; readonly width: number };
  readonly batchRows: number;
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

export interface PlanFault {
  /** RFC 6901, into the spec. */
  readonly pointer: string;
  readonly message: string;
}

/** All faults of a model at once. */
export class PlanError extends Error {
  readonly faults: readonly PlanFault[];
  constructor(faults: readonly PlanFault[]) {
    super(faults.map((fault) => `${fault.pointer}: ${fault.message}`).join("; "));
    this.faults = faults;
  }
}

/** A layer with its shapes. */
export interface ShapedLayer extends LayerShape {
  readonly name: string;
  /** With inferred options filled in. */
  readonly member: Member;
  readonly input: Shape;
}

/** A parameter, in the order of the layers. */
export interface ShapedParameter extends ParameterShape {
  /** PyTorch's name: `<layer>.<parameter>`. */
  readonly name: string;
  readonly length: number;
  /** The number of the layer, and of the parameter within the layer. */
  readonly layer: number;
  readonly index: number;
  /** Which of the learning groups it belongs to (groups.ts); null: it is frozen. */
  readonly group: number | null;
}

export interface ShapedModel {
  readonly layers: readonly ShapedLayer[];
  readonly parameters: readonly ShapedParameter[];
  readonly loss: LossType;
  readonly optimizer: ConfiguredOptimizer;
  /** The number of outputs that the loss needs from the last layer. */
  readonly outputs: number;
}

/** Names in a checkpoint begin with these words if they do not belong to a layer. */
const RESERVED = new Set(["optimizer", "evaluated", "best"]);

/** @throws PlanError with every fault */
export function shapeModel(input: PlanInput): ShapedModel {
  const loss = losses[input.loss.type];
  const optimizer = configure(input.optimizer);
  const faults: PlanFault[] = optimizerFaults(optimizer.check());
  if (optimizer.type.fullBatch) faults.push(...chanceFaults(input));
  if (optimizer.type.evaluatesOthers && input.training?.averaging) {
    const message = `must be null: ${optimizer.type.type} is evaluated with averages of its own`;
    faults.push({ pointer: "/training/averaging", message });
  }
  const outputs = outputsOf(loss, input, faults);
  const shaped = outputs === null ? [] : shapeLayers(input, outputs, faults);
  const parameters = parametersOf(shaped, input.groups);
  const learning = parameters.filter(({ group }) => group !== null).map(({ shape }) => shape);
  if (shaped.length === input.model.layers.length) faults.push(...optimizerFaults(optimizer.fits(learning)));
  faults.push(...nameFaults(input.model.layers));
  if (faults.length > 0 || outputs === null) throw new PlanError(faults);
  return { layers: shaped, parameters, loss, optimizer, outputs };
}

function parametersOf(shaped: readonly ShapedLayer[], groups: PlanInput["groups"]): ShapedParameter[] {
  return shaped.flatMap((layer, i) =>
    layer.parameters.map((parameter, index) => {
      const name = `${layer.name}.${parameter.name}`;
      const group = learningGroupOf(name, groups);
      return { ...parameter, name, length: size(parameter.shape), layer: i, index, group };
    }),
  );
}

function optimizerFaults(faults: readonly OptionFault[]): PlanFault[] {
  return faults.map(({ option, message }) => ({ pointer: `/optimizer/${option}`, message }));
}

/** Faults of a job whose loss is a different function at every step. */
function chanceFaults({ optimizer, model, training = {}, batchRows, trainRows }: PlanInput): PlanFault[] {
  const faults: PlanFault[] = [];
  if (batchRows < trainRows) {
    const message = `${optimizer.type} compares losses of different weights, which must come from the same rows: set "full"`;
    faults.push({ pointer: "/training/batch_size", message });
  }
  if (batchesPerStep(training) > 1) {
    const message = `must be 1: ${optimizer.type} takes all rows as one batch`;
    faults.push({ pointer: "/training/gradient_accumulation_steps", message });
  }
  const random = `is random, and ${optimizer.type} compares losses of different weights: leave it out or use adam`;
  if (training.gradient_noise) faults.push({ pointer: "/training/gradient_noise", message: random });
  for (const [i, member] of model.layers.entries()) {
    const type = layers[member.type];
    if (type.random?.(member)) faults.push({ pointer: `/model/layers/${i}`, message: random });
  }
  return faults;
}

const at = (pointer: string, option: string | null): string => (option === null ? pointer : `${pointer}/${option}`);

/** How many outputs the loss needs. Null if the loss does not suit the target. */
function outputsOf(loss: LossType, input: PlanInput, faults: PlanFault[]): number | null {
  try {
    const outputs = loss.outputs(input.target);
    loss.check?.(input.loss, outputs);
    return outputs;
  } catch (error) {
    if (!(error instanceof LossFault)) throw error;
    faults.push({ pointer: at("/loss", error.option), message: error.message });
    return null;
  }
}

/** A layer's name: its own, or its index, as in nn.Sequential. */
const nameOf = (member: Member, index: number): string => (member.name as string | null | undefined) ?? String(index);

function nameFaults(members: readonly Member[]): PlanFault[] {
  const names = new Map<string, number>();
  return members.flatMap((member, i) => {
    const name = nameOf(member, i);
    const pointer = `/model/layers/${i}/name`;
    const twin = names.get(name);
    names.set(name, i);
    if (RESERVED.has(name)) return [{ pointer, message: `"${name}" is reserved: checkpoints use it; choose another` }];
    return twin === undefined ? [] : [{ pointer, message: `"${name}" is layer ${twin}'s name too; names must differ` }];
  });
}

/**
 * Infers every shape from the first layer to the last. It stops at a layer that does not fit, since
 * no shape is known after it.
 */
function shapeLayers(input: PlanInput, outputs: number, faults: PlanFault[]): ShapedLayer[] {
  const members = input.model.layers;
  const shaped: ShapedLayer[] = [];
  let shape = input.inputShape;
  for (const [i, member] of members.entries()) {
    const type = layers[member.type];
    try {
      const result = type.shape(member, shape, i === members.length - 1 ? outputs : null);
      shaped.push({ ...result, name: nameOf(member, i), input: shape, member: { ...member, ...result.inferred } });
      shape = result.output;
    } catch (error) {
      if (!(error instanceof LayerFault)) throw error;
      faults.push({ pointer: at(`/model/layers/${i}`, error.option), message: error.message });
      return shaped;
    }
  }
  if (shape.length !== 1 || shape[0] !== outputs) faults.push(wrongOutput(members, shape, outputs, input));
  if (shaped.every((layer) => layer.parameters.length === 0)) {
    faults.push({ pointer: "/model/layers", message: "has nothing to train: add a linear layer" });
  }
  return shaped;
}

function wrongOutput(members: readonly Member[], shape: Shape, outputs: number, input: PlanInput): PlanFault {
  const last = members.length - 1;
  const option = typeof members[last].out_features === "number" ? "out_features" : null;
  const target =
    input.target.classes === null ? `${input.target.width} target value(s)` : `${input.target.classes} classes`;
  return {
    pointer: at(`/model/layers/${last}`, option),
    message: `gives ${shape.join(" × ")} outputs, but ${input.loss.type} over ${target} wants ${outputs}; end with a linear layer and leave its out_features out`,
  };
}
