import { LayerRun } from "../support/layer-run.ts";
import { tolerance, type LayerCase } from "./golden.ts";
import { layerOf } from "./composed.ts";
import { isRecurrent, recurrent } from "./recurrent.ts";
import type { Verdict } from "./verdict.ts";

/** An input of a layer: its values for all samples. */
interface Input {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: "float32" | "int32";
  readonly data: ArrayLike<number>;
}

const FLOOR = 5e-6;

/** A layer's output and all its gradients. */
export function layer(golden: LayerCase, verdict: Verdict): void {
  if (isRecurrent(golden.layer)) return recurrent(golden, verdict);
  const member = layerOf(golden.layer, golden.options);
  const { samples, inputs } = inputsOf(golden);
  const names = inputs.length > 1 ? { inputs: inputs.map(({ name }) => name) } : {};
  const run = new LayerRun([{ ...member, ...names }], inputs, samples);
  const training = golden.mode === "train";
  for (const [name, { data }] of Object.entries(golden.params)) run.setParameter(`0.${name}`, data);
  for (const [name, { data }] of Object.entries(golden.buffers ?? {})) run.setBuffer(`0.${name}`, data);
  run.forward(
    inputs.map(({ data }) => data),
    training,
  );
  const { outputs, grad_inputs, grad_params, buffers_after = {} } = golden.expected.float64;
  const limit = tolerance(FLOOR, golden.float32_vs_float64);
  verdict.close("y", run.output(), outputs.y.data, limit);
  run.backward(golden.upstream.y.data, training);
  run.gradients();
  for (const [name, { data }] of Object.entries(grad_inputs)) {
    const input = inputs.findIndex((input) => input.name === name);
    verdict.close(`gradient of ${name}`, run.inputGradient(input), data, limit);
  }
  for (const [name, { data }] of Object.entries(grad_params))
    verdict.close(`gradient of ${name}`, run.parameterGradient(`0.${name}`), data, limit);
  for (const [name, { data }] of Object.entries(buffers_after))
    verdict.close(name, run.buffer(`0.${name}`), data, limit);
}

/**
 * The first dimension counts samples, unless it is the only one, or the layer's `dim` counts it
 * too: then there is one sample.
 */
function inputsOf({ inputs, options }: LayerCase): { samples: number; inputs: Input[] } {
  const tensors = Object.entries(inputs);
  const [, { shape: first }] = tensors[0];
  const whole = first.length === 1 || "dim" in options;
  const samples = whole ? 1 : first[0];
  const list = tensors.map(([name, { shape, dtype, data }]): Input => {
    const type = dtype === "int32" ? "int32" : "float32";
    return { name, shape: whole ? shape : shape.slice(1), type, data };
  });
  const mask = options.attn_mask_true_means_attend as readonly (readonly number[])[] | undefined;
  if (mask === undefined) return { samples, inputs: list };
  const data = Array.from({ length: samples }, () => mask.flat()).flat();
  return { samples, inputs: [...list, { name: "mask", shape: [mask.length, mask[0].length], type: "int32", data }] };
}
