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
  readonly data: { readonly x: GoldenTensor; readonly y: GoldenTensor };
  readonly batches: readonly (readonly number[])[];
  readonly lr: readonly number[];
  readonly initial_weights: Tensors;
  readonly expected: {
    readonly float64: {
      readonly loss: GoldenTensor;
      readonly final_weights: Tensors;
      readonly grad_norm_before_clipping?: GoldenTensor;
    };
  };
  readonly float32_spread: {
    readonly loss_max_abs_error: number;
    readonly final_weights_max_abs_error_by_name: Readonly<Record<string, number>>;
  };
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
  readonly #pass = { training: true, batch: 0, seedLow: 0, seedHigh: 0 };

  constructor(golden: TrainingCase) {
    const { x, y } = golden.data;
    const { loss, optimizer, groups, model } = members(golden);
    const classes = y.dtype === "int32" ? Math.max(...y.data) + 1 : null;
    const plan = planModel({
      model,
      loss,
      optimizer,
      groups,
      inputs: [{ name: "x", shape: x.shape.slice(1), type: "float32" }],
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
    this.#plan = plan;
    this.#kernels = kernels;
    this.#network = new Network(kernels, plan, plan.training, barrier, 0);
    this.#loss = bindObjective(kernels, plan, this.#network, loss, null).loss;
    this.#gradient = new Gradient(kernels, plan, training, barrier, 0);
    this.#update = new Update(kernels, plan, this.#gradient, barrier, 0);
    this.#start();
  }

  #start(): void {
    const { f32 } = this.#kernels;
    for (const { name, weight, length, state } of this.#plan.parameters) {
      const { data } = this.#golden.initial_weights[name];
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
      network.gradient(tile.parameter, tile.begin, tile.end, samples);
      this.#gradient.tileReady(tile);
      this.#update.tileReady(tile);
    }
    const loss = this.#kernels.sum_f32(plan.addresses.terms, samples * plan.termsPerSample) / divisor;
    if (!this.#update.tilewise) this.#update.run(loss, () => Number.NaN);
    this.gradientNorms.push(this.#gradient.norm);
    return loss;
  }

  #gather(rows: readonly number[]): void {
    const { x, y } = this.#golden.data;
    const { f32, i32 } = this.#kernels;
    const { addresses, targetSize: width, values } = this.#plan;
    const inputSize = size(values[0].shape);
    const input = this.#network.values[0] / 4;
    const targets = y.dtype === "int32" ? i32 : f32;
    rows.forEach((row, i) => {
      f32.set(x.data.slice(row * inputSize, (row + 1) * inputSize), input + i * inputSize);
      targets.set(y.data.slice(row * width, (row + 1) * width), (addresses.targets >> 2) + i * width);
    });
  }

  weights(name: string): Float32Array {
    const { weight, length } = this.#plan.parameters.find((parameter) => parameter.name === name)!;
    return this.#kernels.f32.slice(weight >> 2, (weight >> 2) + length);
  }
}

/** The case's members in our words. @throws Unsupported */
function members(golden: TrainingCase): Pick<PlanInput, "loss" | "optimizer" | "groups" | "model"> {
  const { type: lossType, ...lossOptions } = golden.loss;
  const { library, type, options, groups = [] } = golden.optimizer;
  return {
    loss: translate(losses, "torch", lossType, lossOptions),
    optimizer: translate(optimizers, library, type, options),
    groups: groups.map(({ params, options: { weight_decay: decay, ...others } }) => {
      // Rates of their own would have to be given for each step.
      for (const name of Object.keys(others)) throw new Unsupported(`optimizer.groups.${name}`);
      return {
        parameters: params,
        lr: null,
        lr_scale: 1,
        weight_decay: (decay ?? null) as number | null,
        freeze: false,
      };
    }),
    // Our regression keeps the dimension of size 1 that Squeeze takes away.
    model: { layers: golden.model.filter((layer) => layer.type !== "Squeeze").map(translateLayer) },
  };
}

function translateLayer({ type, name, in: inputs, out, ...options }: TrainingCase["model"][number], i: number): Member {
  const sizes = {
    ...(inputs === undefined ? {} : { in_features: inputs }),
    ...(out === undefined ? {} : { out_features: out }),
  };
  return { ...translate(layers, "torch", type, { ...options, ...sizes }), name: name ?? String(i) };
}
