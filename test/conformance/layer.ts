import type { Layer, LayerShape, LayerType } from "../../src/engine/layers/layer.ts";
import { layers } from "../../src/engine/layers/registry.generated.ts";
import type { Member } from "../../src/engine/settings.ts";
import { Bench } from "../support/kernels.ts";
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
const SCRATCH_BYTES = 1 << 16;

/** A layer's output and all its gradients. */
export function layer(golden: LayerCase, verdict: Verdict): void {
  const member = translate(layers, "torch", golden.layer, golden.options);
  const type = layers[member.type];
  const bench = new Bench(1 << 23);
  const { x } = golden.inputs;
  // The first dimension counts samples, unless it is the only one.
  const [samples, ...inputShape] = x.shape.length === 1 ? [1, ...x.shape] : x.shape;
  const shape = type.shape(member, inputShape, null);
  const { addresses, made } = createLayer(bench, type, member, samples, inputShape, shape, golden);
  const weights = shape.parameters.map(({ name }) => bench.floats(golden.params[name].data));
  const pass = { training: golden.mode === "train", batch: 0, seedLow: 0, seedHigh: 0 };
  made.forward(weights, 0, samples, pass);
  made.backward(weights, 0, samples, pass);
  shape.parameters.forEach((parameter, i) => made.gradient?.(i, 0, parameter.shape[0], samples));
  const { outputs, grad_inputs, grad_params } = golden.expected.float64;
  const limit = tolerance(FLOOR, golden.float32_vs_float64);
  const check = (what: string, address: number, { data }: GoldenTensor) =>
    verdict.close(what, bench.read(address, data.length), data, limit);
  check("y", addresses.output, outputs.y);
  check("gradient of x", addresses.inputGradient, grad_inputs.x);
  shape.parameters.forEach(({ name }, i) => check(`gradient of ${name}`, addresses.gradients[i], grad_params[name]));
}

function createLayer(
  bench: Bench,
  type: LayerType,
  member: Member,
  samples: number,
  inputShape: readonly number[],
  { output: outputShape, parameters }: LayerShape,
  golden: LayerCase,
): { addresses: { output: number; inputGradient: number; gradients: readonly number[] }; made: Layer } {
  const outputSize = size(outputShape);
  const addresses = {
    input: bench.floats(golden.inputs.x.data),
    output: bench.reserve(samples * outputSize * 4),
    inputGradient: bench.reserve(golden.inputs.x.data.length * 4),
    outputGradient: bench.floats(golden.upstream.y.data),
    gradients: parameters.map(({ shape }) => bench.reserve(size(shape) * 4)),
    scratch: bench.reserve(SCRATCH_BYTES),
  };
  const place = { ...addresses, inputSize: size(inputShape), outputSize, inputShape, outputShape, index: 0 };
  return { addresses, made: type.create(bench.kernels, member, place) };
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
