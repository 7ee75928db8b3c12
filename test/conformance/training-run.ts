import { Barrier } from "../../src/engine/step/barrier.ts";
import { Gradient } from "../../src/engine/step/gradient.ts";
import { layers } from "../../src/engine/layers/registry.generated.ts";
import { losses } from "../../src/engine/losses/registry.generated.ts";
import { compileKernels, createMemory, instantiateKernels, type Kernels } from "../../src/engine/kernels/kernels.ts";
import { planModel, type Plan } from "../../src/engine/plan/model.ts";
import type { PlanInput } from "../../src/engine/plan/shapes.ts";
import { bindObjective } from "../../src/engine/step/objective.ts";
import type { Loss } from "../../src/engine/losses/loss.ts";
import { size } from "../../src/engine/member/shape.ts";
import { Network } from "../../src/engine/step/network.ts";
import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import type { Member } from "../../src/engine/settings.ts";
import { startBuffers } from "../../src/engine/state/initialize.ts";
import { gradientTiles } from "../../src/engine/plan/slices.ts";
import { Update } from "../../src/engine/step/update.ts";
import type { GoldenCase, GoldenTensor } from "./golden.ts";
import { translate } from "./names.ts";
import { Unsupported, type Verdict } from "./verdict.ts";

type Values = Readonly<Record<string, unknown>>;
type Tensors = Readonly<Record<string, GoldenTensor>>;

export interface TrainingCase extends GoldenCase {
  readonly model: readonly ({ readonly type: string; readonly name?: string } & Values)[];
  readonly loss: { readonly type: string } & Values;
  readonly optimizer: {
    readonly library: string;
    readonly type: string;
    readonly options: Values;
    readonly groups?: readonly { readonly params: readonly string[]; readonly options: Values }[];
  };
  readonly clip_grad_norm?: number;
  readonly data: { readonly x: GoldenTensor; readonly y: GoldenTensor } | Text;
  readonly batches: readonly (readonly number[])[];
  readonly lr: readonly number[];
  readonly initial_weights: Tensors;
  readonly expected: {
    readonly float64: {
      readonly loss: GoldenTensor;
      readonly final_weights: Tensors;
      readonly final_buffers?: Tensors;
      readonly grad_norm_before_clipping?: GoldenTensor;
    };
  };
  readonly float32_spread: {
    readonly loss_max_abs_error: number;
    readonly final_weights_max_abs_error_by_name: Readonly<Record<string, number>>;
  };
}

/** Entry i of a batch is the context from token i on, and its targets are the tokens after each. */
interface Text {
  readonly tokens: GoldenTensor;
  readonly context: number;
  readonly vocabulary: string;
}

const FLOOR = 1e-5;

/** A whole run over given batches: the loss of every step, and the weights at the end. */
export function trainingRun(golden: TrainingCase, verdict: Verdict): void {
  const run = new Run(golden);
  const losses = golden.batches.map((rows, step) => run.step(rows, step + 1, golden.lr[step]));
  const { expected, float32_spread: spread } = golden;
  const limit = Math.max(FLOOR, 5 * spread.loss_max_abs_error);
  verdict.close("loss", losses, expected.float64.loss.data, limit);
  const norms = expected.float64.grad_norm_before_clipping;
  if (norms !== undefined) verdict.close("norm of the gradient", run.gradientNorms, norms.data, limit);
  for (const [name, { data }] of Object.entries(expected.float64.final_weights)) {
    const own = Math.max(FLOOR, 5 * spread.final_weights_max_abs_error_by_name[name]);
    verdict.close(name, run.weights(name), data, own);
  }
  for (const [name, { data }] of Object.entries(expected.float64.final_buffers ?? {}))
    verdict.close(name, run.buffer(name), data, FLOOR);
}

const module = compileKernels();

/** A plan, run by one thread as a crew would, but for the batches, which are given. */
class Run {
  readonly gradientNorms: number[] = [];
  readonly #plan: Plan;
  readonly #kernels: Kernels;
  readonly #network: Network;
  readonly #loss: Loss;
  readonly #gradient: Gradient;
  readonly #update: Update;
  readonly #golden: TrainingCase;
  readonly #tables: Tables;
  readonly #pass = { training: true, batch: 0, seedLow: 0, seedHigh: 0 };

  constructor(golden: TrainingCase) {
    const tables = tablesOf(golden.data);
    const { x, y, categories } = tables;
    const { loss, optimizer, groups, model } = members(golden);
    const classes = y.dtype === "int32" ? Math.max(...y.data) + 1 : null;
    const plan = planModel({
      model,
      loss,
      optimizer,
      groups,
      inputs: [{ name: "x", shape: x.shape.slice(1), type: x.dtype === "int32" ? "int32" : "float32", categories }],
      target: { classes, shape: y.shape.slice(1) },
      batchRows: Math.max(...golden.batches.map((rows) => rows.length)),
      smallestBatch: Math.min(...golden.batches.map((rows) => rows.length)),
      trainRows: x.shape[0],
      evaluatedRows: 0,
      threads: 1,
      keepBest: false,
    });
    const kernels = instantiateKernels(module, createMemory(plan.memoryBytes));
    const { control } = plan.addresses;
    const barrier = new Barrier(kernels, new Int32Array(kernels.memory.buffer, control), control, 1);
    const training = { seed: 0, clip_grad_norm: golden.clip_grad_norm ?? null, clip_grad_value: null };
    this.#golden = golden;
    this.#tables = tables;
    this.#plan = plan;
    this.#kernels = kernels;
    this.#network = new Network(kernels, plan, plan.training, barrier, 0);
    this.#loss = bindObjective(kernels, plan, this.#network, loss, null).loss;
    this.#gradient = new Gradient(kernels, plan, training, barrier, 0);
    this.#update = new Update(kernels, plan, this.#gradient, barrier, 0);
    this.#start();
  }

  #start(): void {
    const { buffers } = this.#plan;
    startBuffers(this.#kernels, this.#plan, new Set(buffers.map(({ name }) => name)));
    const { f32 } = this.#kernels;
    for (const { name, weight, length, state } of this.#plan.parameters) {
      const { data } = this.#golden.initial_weights[theirName(name)];
      f32.set(data, weight >> 2);
      for (const { initial, address } of state)
        f32.set(initial === "parameter" ? data : new Float32Array(length).fill(initial), address >> 2);
    }
  }

  /** Returns the mean loss of the batch. */
  step(rows: readonly number[], t: number, lr: number): number {
    const plan = this.#plan;
    const network = this.#network;
    const samples = rows.length;
    this.#gather(rows);
    this.#pass.batch = t - 1;
    this.#gradient.begin(t - 1);
    this.#update.begin(
      t,
      Array.from(plan.groups, () => ({ lr, momentum: null })),
      false,
    );
    const divisor = this.#loss.divisor(plan.addresses.targets, samples * plan.targetSize, 0);
    network.forward(0, samples, samples, this.#pass);
    this.#loss.run(0, samples, 1 / divisor);
    network.backward(0, samples, samples, this.#pass);
    for (const tile of gradientTiles(plan, 0)) {
      network.gradient(tile.parameter, tile.begin, tile.end, samples, this.#gradient.rowsOf(tile.parameter));
      this.#gradient.tileReady(tile);
      this.#update.tileReady(tile);
    }
    const loss = this.#kernels.sum_f32(plan.addresses.terms, samples * plan.termsPerSample) / divisor;
    if (!this.#update.tilewise) this.#update.run(loss, () => Number.NaN);
    this.gradientNorms.push(this.#gradient.norm);
    return loss;
  }

  #gather(rows: readonly number[]): void {
    const { x, y } = this.#tables;
    const { f32, i32 } = this.#kernels;
    const { addresses, targetSize: width, values } = this.#plan;
    const inputSize = size(values[0].shape);
    const input = this.#network.values[0] / 4;
    const inputs = x.dtype === "int32" ? i32 : f32;
    const targets = y.dtype === "int32" ? i32 : f32;
    rows.forEach((row, i) => {
      inputs.set(x.data.slice(row * inputSize, (row + 1) * inputSize), input + i * inputSize);
      targets.set(y.data.slice(row * width, (row + 1) * width), (addresses.targets >> 2) + i * width);
    });
  }

  weights(name: string): Float32Array {
    const { weight, length } = this.#plan.parameters.find((parameter) => theirName(parameter.name) === name)!;
    return this.#kernels.f32.slice(weight >> 2, (weight >> 2) + length);
  }

  buffer(name: string): number[] {
    const { address, type, shape } = this.#plan.buffers.find((buffer) => buffer.name === name)!;
    if (type === "float32") return Array.from(this.#kernels.f32.subarray(address >> 2, (address >> 2) + size(shape)));
    return Array.from(new BigInt64Array(this.#kernels.memory.buffer, address, size(shape)), Number);
  }
}

/** The case's members in our words. @throws Unsupported */
function members(golden: TrainingCase): Pick<PlanInput, "loss" | "optimizer" | "groups" | "model"> {
  const { type: lossType, ...lossOptions } = golden.loss;
  const { library, type, options, groups = [] } = golden.optimizer;
  const images = imageLayers(golden);
  return {
    loss: translate(losses, "torch", lossType, lossOptions),
    optimizer: translate(optimizers, library, type, options),
    groups: groups.map(({ params, options: { weight_decay: decay, ...others } }) => {
      // Rates of their own would have to be given for each step.
      for (const name of Object.keys(others)) throw new Unsupported(`optimizer.groups.${name}`);
      return {
        parameters: params.map(ourName),
        lr: null,
        lr_scale: 1,
        weight_decay: (decay ?? null) as number | null,
        freeze: false,
      };
    }),
    // Our regression keeps the dimension of size 1 that Squeeze takes away.
    model: {
      layers: golden.model
        .filter((layer) => layer.type !== "Squeeze")
        .flatMap((layer, i) => translateLayer(layer, i, i < images)),
    },
  };
}

/** How many layers, from the first, have an image as their input. */
function imageLayers({ data, model }: TrainingCase): number {
  if ("tokens" in data || data.x.shape.length < 4) return 0;
  const flat = model.findIndex(({ type }) => type === "Flatten");
  return flat === -1 ? model.length : flat;
}

type GoldenLayer = TrainingCase["model"][number];

function translateLayer(layer: GoldenLayer, i: number, isImage: boolean): readonly Member[] {
  const { type, name = String(i), ...given } = layer;
  if (type === "PreNormBlock") return preNormBlock(layer);
  const { type: ours = type, options } = RENAMED[type]?.(given, isImage) ?? { options: given };
  return [named(ours, name, options)];
}

const named = (type: string, name: string, options: Values): Member => ({
  ...translate(layers, "torch", type, options),
  name,
});

const recurrent = ({ in: input_size, hidden: hidden_size, ...options }: Values) => ({
  options: { ...options, input_size, hidden_size, output: "all" },
});

/**
 * Layers of a run that are not called as in PyTorch, or whose options are not. Those of one that
 * normalizes by the batch are left to be inferred.
 */
const RENAMED: Readonly<Record<string, (options: Values, isImage: boolean) => { type?: string; options: Values }>> = {
  Linear: ({ in: in_features, out: out_features, ...options }) => ({
    options: { ...options, in_features, out_features },
  }),
  Conv2d: ({ in: in_channels, out: out_channels, ...options }) => ({
    options: { ...options, in_channels, out_channels },
  }),
  BatchNorm: (_options, isImage) => ({ type: isImage ? "BatchNorm2d" : "BatchNorm1d", options: {} }),
  LayerNorm: ({ features }) => ({ options: { normalized_shape: [features] } }),
  Embedding: ({ count, dim }) => ({ options: { num_embeddings: count, embedding_dim: dim } }),
  PositionEmbedding: ({ count }) => ({ options: { num_embeddings: count } }),
  RNN: recurrent,
  LSTM: recurrent,
  GRU: recurrent,
  LastStep: () => ({ type: "Select", options: { dim: 0, index: -1 } }),
  MeanStep: () => ({ type: "Mean", options: { dim: 0 } }),
};

/** Two residuals, of attention and of the feed-forward network; `OUR_NAMES` says what is where. */
function preNormBlock({ name, heads, hidden, activation, d }: GoldenLayer): readonly Member[] {
  const gelu = named("GELU", "gelu", { approximate: activation === "GELU_tanh" ? "tanh" : "none" });
  const attention = named("MultiheadAttention", "attention", { num_heads: heads, causal: true });
  const network = [named("Linear", "fc1", { out_features: hidden }), gelu, named("Linear", "fc2", { out_features: d })];
  return [
    { type: "residual", name, layers: [named("LayerNorm", "ln1", {}), attention] },
    { type: "residual", name: `${name}-ff`, layers: [named("LayerNorm", "ln2", {}), ...network] },
  ];
}

const OUR_NAMES: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^(block\w+)\.qkv\.(\w+)$/, "$1.attention.in_proj_$2"],
  [/^(block\w+)\.proj\.(\w+)$/, "$1.attention.out_proj.$2"],
  [/^(block\w+)\.(ln2|fc1|fc2)\.(\w+)$/, "$1-ff.$2.$3"],
];

const THEIR_NAMES: readonly (readonly [ours: RegExp, theirs: string])[] = [
  [/^(block\w+)\.attention\.in_proj_(\w+)$/, "$1.qkv.$2"],
  [/^(block\w+)\.attention\.out_proj\.(\w+)$/, "$1.proj.$2"],
  [/^(block\w+)-ff\.(\w+)\.(\w+)$/, "$1.$2.$3"],
];

const ourName = (name: string): string => OUR_NAMES.reduce((text, [from, to]) => text.replace(from, to), name);
const theirName = (name: string): string => THEIR_NAMES.reduce((text, [from, to]) => text.replace(from, to), name);

/** Inputs and targets by row, and how many integers there may be in the inputs. */
interface Tables {
  readonly x: GoldenTensor;
  readonly y: GoldenTensor;
  readonly categories: number | null;
}

function tablesOf(data: TrainingCase["data"]): Tables {
  if (!("tokens" in data))
    return { ...data, categories: data.x.dtype === "int32" ? Math.max(...data.x.data) + 1 : null };
  const { tokens, context, vocabulary } = data;
  const shape = [tokens.data.length - context, context];
  const from = (first: number): GoldenTensor => ({
    dtype: "int32",
    shape,
    data: Array.from(
      { length: shape[0] * context },
      (_, i) => tokens.data[first + Math.floor(i / context) + (i % context)],
    ),
  });
  return { x: from(0), y: from(1), categories: vocabulary.length };
}
