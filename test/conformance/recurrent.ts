import { layers } from "../../src/engine/layers/registry.generated.ts";
import { LayerRun } from "../support/layer-run.ts";
import { tolerance, type GoldenTensor, type LayerCase } from "./golden.ts";
import { translate } from "./names.ts";
import type { Verdict } from "./verdict.ts";

const FLOOR = 5e-6;

/** Which of our outputs is which of PyTorch's; a cell's are those of one layer after one step. */
const OUTPUTS: Readonly<Record<string, string>> = {
  y: "all",
  h_n: "last_state",
  h_1: "last_state",
  c_n: "last_cell",
  c_1: "last_cell",
};

export const isRecurrent = (type: string): boolean => /^(RNN|LSTM|GRU)(Cell)?$/.test(type);

/**
 * RNN, LSTM, GRU and their single cells. A layer of ours has one output, so the layer runs once for
 * each of PyTorch's; the gradients of all are the sums of each one's.
 */
export function recurrent(golden: LayerCase, verdict: Verdict): void {
  const isCell = golden.layer.endsWith("Cell");
  const { batch_first, initial_state: _given, ...options } = golden.options;
  const member = translate(layers, "torch", golden.layer.replace("Cell", ""), options);
  const suffix = isCell ? "_l0" : "";
  // What has no time is one time; PyTorch's states have the layers before the samples.
  const isTimeFirst = !isCell && batch_first !== true;
  const swaps = (name: string) => !isCell && (isTimeFirst || !["x", "y"].includes(name));
  const samplesFirst = (name: string, tensor: GoldenTensor) => (swaps(name) ? swapped(tensor) : tensor);
  const inputs = Object.entries(golden.inputs).map(([name, tensor]) => {
    const { shape, data } = samplesFirst(name, tensor);
    return { name, shape: isCell && name === "x" ? [1, shape[1]] : shape.slice(1), data, samples: shape[0] };
  });
  const { outputs, grad_inputs, grad_params } = golden.expected.float64;
  const limit = tolerance(FLOOR, golden.float32_vs_float64);
  const runs = Object.entries(golden.upstream).map(([name, upstream]) => {
    const layer = { ...member, output: OUTPUTS[name], inputs: inputs.map((input) => input.name) };
    const values = inputs.map((input) => ({ name: input.name, shape: input.shape, type: "float32" as const }));
    const run = new LayerRun([layer], values, inputs[0].samples);
    for (const [parameter, { data }] of Object.entries(golden.params))
      run.setParameter(`0.${parameter}${suffix}`, data);
    run.forward(
      inputs.map(({ data }) => data),
      true,
    );
    verdict.close(name, run.output(), samplesFirst(name, outputs[name]).data, limit);
    run.backward(samplesFirst(name, upstream).data, true);
    run.gradients();
    return run;
  });
  const total = (gradientOf: (run: LayerRun) => Float32Array) =>
    runs.map(gradientOf).reduce((sum, gradient) => sum.map((value, i) => value + gradient[i]));
  for (const [i, { name }] of inputs.entries()) {
    const expected = samplesFirst(name, grad_inputs[name]).data;
    verdict.close(
      `gradient of ${name}`,
      total((run) => run.inputGradient(i)),
      expected,
      limit,
    );
  }
  for (const [name, { data }] of Object.entries(grad_params)) {
    verdict.close(
      `gradient of ${name}`,
      total((run) => run.parameterGradient(`0.${name}${suffix}`)),
      data,
      limit,
    );
  }
}

/** The tensor with its first two dimensions swapped. */
function swapped({ shape, data, ...others }: GoldenTensor): GoldenTensor {
  const [first, second, ...rest] = shape;
  const row = rest.reduce((product, length) => product * length, 1);
  const values = Array.from({ length: data.length }, (_, i) => {
    const [a, b] = [Math.floor(i / row / first), Math.floor(i / row) % first];
    return data[(b * second + a) * row + (i % row)];
  });
  return { ...others, shape: [second, first, ...rest], data: values };
}
