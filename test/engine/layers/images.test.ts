/** Layers of images and sequences, as a network runs them. */
import { describe, expect, it } from "vitest";
import { PlanError } from "../../../src/engine/plan/faults.ts";
import { LayerRun } from "../../support/layer-run.ts";
import { numbers } from "../../support/kernels.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";
import type { Member } from "../../../src/engine/settings.ts";

const layer = (type: string, options: Record<string, unknown> = {}): Member => member("layers", type, options);

const runOf = (layers: readonly Member[], shape: readonly number[], samples = 2) =>
  new LayerRun(layers, [{ name: "x", shape, type: "float32" }], samples);

/** The shape that a layer makes of an input, and its parameters' shapes. */
function shapeOf(made: Member, shape: readonly number[]) {
  const { graph, parameters } = runOf([made], shape);
  return { output: graph.values[graph.output].shape, parameters: parameters.map((parameter) => parameter.shape) };
}

/** Layers in PyTorch's words, inputs, and the shapes that PyTorch makes of them. */
const shapes: readonly (readonly [Member, number[], number[], number[][]])[] = [
  [layer("conv2d", { out_channels: 6, kernel_size: 5 }), [3, 28, 20], [6, 24, 16], [[6, 3, 5, 5], [6]]],
  [
    layer("conv2d", { out_channels: 6, kernel_size: [3, 2], padding: "same", bias: false }),
    [4, 9, 8],
    [6, 9, 8],
    [[6, 4, 3, 2]],
  ],
  [
    layer("conv2d", { out_channels: 4, kernel_size: 3, padding: "same", dilation: 2 }),
    [1, 9, 8],
    [4, 9, 8],
    [[4, 1, 3, 3], [4]],
  ],
  [
    layer("conv2d", { out_channels: 4, kernel_size: 3, padding: "valid", groups: 2 }),
    [2, 5, 5],
    [4, 3, 3],
    [[4, 1, 3, 3], [4]],
  ],
  [
    layer("conv2d", { out_channels: 1, kernel_size: 3, stride: [2, 3], padding: [1, 0] }),
    [1, 9, 9],
    [1, 5, 3],
    [[1, 1, 3, 3], [1]],
  ],
  [layer("conv1d", { out_channels: 7, kernel_size: 4, stride: 2, padding: 1 }), [3, 11], [7, 5], [[7, 3, 4], [7]]],
  [layer("conv1d", { out_channels: 7, kernel_size: [4], padding: "same" }), [3, 11], [7, 11], [[7, 3, 4], [7]]],
  [
    layer("conv_transpose2d", { out_channels: 6, kernel_size: 3, stride: 2, padding: 1, output_padding: 1, groups: 2 }),
    [4, 4, 5],
    [6, 8, 10],
    [[4, 3, 3, 3], [6]],
  ],
  [layer("max_pool2d", { kernel_size: 2 }), [3, 7, 8], [3, 3, 4], []],
  [layer("max_pool2d", { kernel_size: 2, ceil_mode: true }), [3, 7, 8], [3, 4, 4], []],
  [layer("max_pool2d", { kernel_size: 2, stride: 3, ceil_mode: true, padding: 1 }), [3, 6, 7], [3, 3, 3], []],
  // A last window that would begin in the padding behind is left out.
  [layer("max_pool2d", { kernel_size: 2, stride: 3, ceil_mode: true, padding: 1 }), [3, 5, 8], [3, 2, 3], []],
  [layer("max_pool2d", { kernel_size: 3, padding: 2, dilation: 2 }), [3, 5, 9], [3, 2, 3], []],
  [layer("max_pool1d", { kernel_size: 3, stride: 2 }), [3, 11], [3, 5], []],
  [layer("avg_pool2d", { kernel_size: [2, 3], stride: [2, 2], ceil_mode: true }), [1, 6, 7], [1, 3, 3], []],
  [layer("avg_pool1d", { kernel_size: 4, stride: 3 }), [2, 9], [2, 2], []],
  [layer("adaptive_avg_pool2d", { output_size: [3, 4] }), [2, 7, 10], [2, 3, 4], []],
  [layer("global_avg_pool2d"), [5, 7, 10], [5], []],
  [layer("global_max_pool2d"), [5, 7, 10], [5], []],
  [layer("flatten"), [5, 7, 10], [350], []],
  [layer("flatten", { start_dim: 2 }), [5, 7, 10], [5, 70], []],
  [layer("flatten", { start_dim: -3, end_dim: 2 }), [5, 7, 10], [35, 10], []],
  [layer("reshape", { shape: [2, -1, 5] }), [5, 7, 10], [2, 35, 5], []],
  [layer("permute", { dims: [2, 0, 1] }), [5, 7, 10], [10, 5, 7], []],
  [layer("permute", { dims: [-1, 0] }), [5, 7], [7, 5], []],
];

it.each(shapes)("%j makes of %j the shape %j, with parameters %j", (made, shape, output, parameters) => {
  expect(shapeOf(made, shape)).toEqual({ output, parameters });
});

const conv = (options: object) => layer("conv2d", { out_channels: 4, kernel_size: 3, ...options });
const faults: readonly (readonly [Member, number[], string, string])[] = [
  [
    conv({}),
    [9],
    "",
    "takes [channels, height, width], but its input is [9]; give the data another shape (/data/shape), or put a reshape before it",
  ],
  [
    conv({ in_channels: 2 }),
    [3, 5, 5],
    "/in_channels",
    "is 2, but the first dimension of the input [3, 5, 5] is 3; leave it out",
  ],
  [conv({ groups: 2 }), [3, 5, 5], "/groups", "is 2, which does not divide the input's channels (3)"],
  [conv({ groups: 3 }), [3, 5, 5], "/groups", "is 3, which does not divide out_channels (4)"],
  [
    conv({ stride: 2, padding: "same" }),
    [3, 5, 5],
    "/padding",
    '"same" needs a stride of 1; give the padding as a number',
  ],
  [
    conv({ kernel_size: 7, padding: 0 }),
    [3, 9, 5],
    "/kernel_size",
    "reaches over 7 elements, but the width of the input is 5; make it smaller or add padding",
  ],
  [
    conv({ kernel_size: 9, padding: 1 }),
    [3, 5, 9],
    "/kernel_size",
    "reaches over 9 elements, but the height of the input is 5, 7 with padding; make it smaller or add padding",
  ],
  [conv({ stride: 65 }), [3, 5, 5], "/stride", "is 65 × 65, but may cover at most 4096 elements"],
  [
    layer("conv_transpose2d", { out_channels: 1, kernel_size: 1, padding: 1 }),
    [1, 2, 2],
    "/padding",
    "is 1, which leaves nothing of the output; make it smaller",
  ],
  [
    layer("conv_transpose2d", { out_channels: 1, kernel_size: 1, output_padding: 1 }),
    [1, 2, 2],
    "/output_padding",
    "is 1, but must be less than the stride or the dilation",
  ],
  [
    layer("max_pool2d", { kernel_size: 2, padding: 2 }),
    [1, 5, 5],
    "/padding",
    "is 2, but may be at most half of a window, 1 here",
  ],
  [
    layer("max_pool1d", { kernel_size: 2 }),
    [1, 5, 5],
    "",
    "takes [channels, length], but its input is [1, 5, 5]; give the data another shape (/data/shape), or put a reshape before it",
  ],
  [
    layer("adaptive_avg_pool2d", { output_size: 1 }),
    [5],
    "",
    "takes [channels, height, width], but its input is [5]; give the data another shape (/data/shape), or put a reshape before it",
  ],
  [
    layer("global_avg_pool2d"),
    [5],
    "",
    "takes [channels, height, width], but its input is [5]; give the data another shape (/data/shape), or put a reshape before it",
  ],
  [
    layer("flatten", { start_dim: 0 }),
    [5, 5],
    "/start_dim",
    "is 0, but the input [batch, 5, 5] has the dimensions 1 to 2 besides the batch",
  ],
  [layer("flatten", { start_dim: 2, end_dim: 1 }), [5, 5], "/end_dim", "is 1, which lies before start_dim"],
  [layer("reshape", { shape: [4, 4] }), [15], "/shape", "[4, 4] does not hold the 15 numbers of the input [15]"],
  [layer("reshape", { shape: [-1, 4] }), [15], "/shape", "[-1, 4] does not hold the 15 numbers of the input [15]"],
  [layer("reshape", { shape: [-1, -1] }), [15], "/shape", "may have only one −1"],
  [layer("reshape", { shape: [15, 0] }), [15], "/shape", "may have no dimension of length 0"],
  [layer("permute", { dims: [0, 0] }), [3, 5], "/dims", "is [0, 0], but must hold each of 0, 1 once"],
  [layer("permute", { dims: [0] }), [3, 5], "/dims", "is [0], but must hold each of 0, 1 once"],
];

it.each(faults)("refuses %j on %j: %s %s", (made, shape, pointer, message) => {
  const error = new PlanError([{ pointer: `/model/layers/0${pointer}`, message }]);
  expect(() => runOf([made], shape)).toThrow(error);
});

it('an even kernel with the padding "same" has the odd zero behind, as in PyTorch', () => {
  const run = runOf([layer("conv1d", { out_channels: 1, kernel_size: 2, padding: "same", bias: false })], [1, 3], 1);
  run.setParameter(run.parameters[0].name, [1, 10]);
  run.forward([[1, 2, 3]], false);
  expect([...run.output()]).toEqual([21, 32, 3]);
});

describe("a network of all of them", () => {
  const network = [
    layer("reshape", { shape: [2, 9, 10] }),
    layer("conv2d", { out_channels: 7, kernel_size: 3, padding: 1 }),
    layer("relu"),
    layer("max_pool2d", { kernel_size: 2, ceil_mode: true }),
    layer("conv_transpose2d", { out_channels: 6, kernel_size: 3, stride: 2, groups: 1 }),
    layer("avg_pool2d", { kernel_size: 3, stride: 2, padding: 1 }),
    layer("permute", { dims: [1, 2, 0] }),
    layer("flatten", { end_dim: 2 }),
    layer("permute", { dims: [1, 0] }),
    layer("conv1d", { out_channels: 5, kernel_size: 4, stride: 2 }),
    layer("flatten"),
  ];
  const [size, samples] = [180, 5];
  const x = numbers(samples * size, 1);

  function results(slabs: readonly number[], rows: number) {
    const run = runOf(network, [size], samples);
    for (const [i, { name, length }] of run.parameters.entries())
      run.setParameter(
        name,
        numbers(length, 10 + i).map((value) => value / 30),
      );
    run.forward([x], true, slabs);
    const output = run.output();
    run.backward(numbers(output.length, 2), true, slabs);
    run.gradients(rows);
    const gradients = run.parameters.map(({ name }) => run.parameterGradient(name));
    return [output, run.inputGradient(0), ...gradients].map((values) => new Int32Array(values.buffer));
  }

  it("gives the same bits however samples and rows are cut", () => {
    const whole = results([0, samples], Infinity);
    expect(whole.every((values) => values.some((value) => value !== 0))).toBe(true);
    expect(results([0, 1, 2, 3, 4, samples], 1)).toEqual(whole);
    expect(results([0, 3, samples], 4)).toEqual(whole);
  });

  it("trains to the same bytes on any number of threads, and from a checkpoint", async () => {
    const job = smallJob({ layers: [...network, layer("linear")], data: classes(90, size) });
    const whole = await train(job, { threads: 1, everySteps: 7 });
    expect(whole.weights).toMatch(/^[0-9a-f]{64}$/);
    for (const threads of [2, 3, 5]) {
      const state = whole.checkpoints.get(threads * 7);
      expect((await train(job, { threads, state })).weights).toBe(whole.weights);
    }
    expect((await train(job, { threads: 8 })).weights).toBe(whole.weights);
  });
});

it("moves numbers without changing them", () => {
  const run = runOf(
    [layer("permute", { dims: [2, 0, 1] }), layer("flatten"), layer("reshape", { shape: [4, 6] })],
    [2, 3, 4],
  );
  const x = Float32Array.from({ length: 48 }, (_, i) => i);
  run.forward([x], true);
  // Number (sample, k, i, j) of the output is number (sample, i, j, k) of the input.
  const moved = Float32Array.from({ length: 48 }, (_, at) => {
    const within = at % 24;
    return at - within + (within % 6) * 4 + Math.floor(within / 6);
  });
  expect(run.output()).toEqual(moved);
  run.backward(moved, true);
  expect(run.inputGradient(0)).toEqual(x);
});

it("reduces each channel to its mean or to its largest number", () => {
  const x = Float32Array.from([1, 2, 3, 10, -1, -2, -3, -4]);
  const output = (type: string) => {
    const run = runOf([layer(type)], [2, 2, 2], 1);
    run.forward([x], true);
    return [...run.output()];
  };
  expect(output("global_avg_pool2d")).toEqual([4, -2.5]);
  expect(output("global_max_pool2d")).toEqual([10, -1]);
});

it.each([
  [conv({}), 1 / Math.sqrt(2 * 9)],
  // As in PyTorch, fan_in counts the weight's second dimension, which here is that of outputs.
  [layer("conv_transpose2d", { out_channels: 4, kernel_size: 3 }), 1 / Math.sqrt(4 * 9)],
])("%j starts as in PyTorch", (made, bound) => {
  const { parameters } = runOf([made], [2, 8, 8]);
  for (const { initializer } of parameters) expect(initializer).toEqual({ distribution: "uniform", bound });
});
