import { layers } from "../../src/engine/layers/registry.generated.ts";
import { LayerRun } from "../support/layer-run.ts";
import { tolerance, type GoldenCase, type GoldenTensor, type Spread } from "./golden.ts";
import { translate } from "./names.ts";
import type { Verdict } from "./verdict.ts";

type Tensors = Readonly<Record<string, GoldenTensor>>;

interface LayerCase extends GoldenCase {
  readonly layer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly mode: "train" | "eval";
  readonly inputs: Tensors;
  readonly params: Tensors;
  readonly upstream: Tensors;
  readonly expected: {
    readonly float64: { readonly outputs: Tensors; readonly grad_inputs: Tensors; readonly grad_params: Tensors };
  };
  readonly float32_vs_float64: Spread;
}

const FLOOR = 5e-6;

/** A layer's output and all its gradients. */
export function layer(golden: LayerCase, verdict: Verdict): void {
  const member = translate(layers, "torch", golden.layer, golden.options);
  const { x } = golden.inputs;
  // The first dimension counts samples, unless it is the only one.
  const [samples, ...shape] = x.shape.length === 1 ? [1, ...x.shape] : x.shape;
  const run = new LayerRun([member], [{ name: "x", shape, type: "float32" }], samples);
  const training = golden.mode === "train";
  for (const [name, { data }] of Object.entries(golden.params)) run.setParameter(`0.${name}`, data);
  run.forward([x.data], training);
  const { outputs, grad_inputs, grad_params } = golden.expected.float64;
  const limit = tolerance(FLOOR, golden.float32_vs_float64);
  verdict.close("y", run.output(), outputs.y.data, limit);
  run.backward(golden.upstream.y.data, training);
  run.gradients();
  verdict.close("gradient of x", run.inputGradient(0), grad_inputs.x.data, limit);
  for (const [name, { data }] of Object.entries(grad_params))
    verdict.close(`gradient of ${name}`, run.parameterGradient(`0.${name}`), data, limit);
}
