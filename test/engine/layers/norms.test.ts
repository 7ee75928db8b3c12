import { describe, expect, it } from "vitest";
import { forward as batchNorm } from "../../../src/engine/layers/batch_norm1d/reference.ts";
import { forward as groupNorm } from "../../../src/engine/layers/group_norm/reference.ts";
import { forward as rowNorm } from "../../../src/engine/layers/layer_norm/reference.ts";
import type { layers } from "../../../src/engine/layers/registry.generated.ts";
import { forward as softmax, logarithms } from "../../../src/engine/layers/softmax/reference.ts";
import { size } from "../../../src/engine/member/shape.ts";
import {
  expectNaN,
  expectReference,
  expectSameBits,
  expectUntouched,
  float,
  numbers,
  rowsOf,
  single,
  type LayerCase,
  type Parameters,
} from "../../support/layer-checks.ts";
import { LayerRun } from "../../support/layer-run.ts";

/** A layer on samples of `shape`. */
const on = (
  type: keyof typeof layers,
  options: object,
  shape: readonly number[],
  reference: LayerCase["reference"],
  samples = 3,
): LayerCase => single(type, options, [float("x", ...shape)], reference, { samples });

/** Weight and bias of each place of a row, where there are. */
const affine = (row: readonly number[], p: Parameters): number[] =>
  row.map((value, i) => value * (p["it.weight"]?.[i] ?? 1) + (p["it.bias"]?.[i] ?? 0));

const rows =
  (length: number, eps: number, centered: boolean): LayerCase["reference"] =>
  ([x], p) =>
    rowsOf(x, length).flatMap((row) => affine(rowNorm(row, eps, centered), p));

/** Weight and bias of each channel of a sample. */
const channels = (sample: readonly number[], count: number, p: Parameters): number[] =>
  sample.map((value, i) => {
    const c = Math.floor(i / (sample.length / count));
    return value * (p["it.weight"]?.[c] ?? 1) + (p["it.bias"]?.[c] ?? 0);
  });

const groups =
  (shape: readonly number[], count: number): LayerCase["reference"] =>
  ([x], p) =>
    rowsOf(x, size(shape)).flatMap((sample) => channels(groupNorm(sample, count, 1e-5), shape[0], p));

const batches =
  (shape: readonly number[]): LayerCase["reference"] =>
  ([x], p) =>
    batchNorm(rowsOf(x, size(shape)), shape[0], 1e-5).flatMap((sample) => channels(sample, shape[0], p));

/** Along dimension `along`, every run for itself. */
const runs =
  (shape: readonly number[], along: number, of: (x: readonly number[]) => number[]): LayerCase["reference"] =>
  ([x]) => {
    const inner = size(shape.slice(along + 1));
    const result = [...x];
    for (let i = 0; i < x.length; i++) {
      if (Math.floor(i / inner) % shape[along] !== 0) continue;
      const places = Array.from({ length: shape[along] }, (_, k) => i + k * inner);
      of(places.map((place) => x[place])).forEach((value, k) => (result[places[k]] = value));
    }
    return result;
  };

const perSample: LayerCase[] = [
  on("layer_norm", {}, [1], rows(1, 1e-5, true)),
  on("layer_norm", {}, [5, 7], rows(7, 1e-5, true)),
  on("layer_norm", { eps: 0.1 }, [2, 33], rows(33, 0.1, true)),
  on("layer_norm", { normalized_shape: [3, 5] }, [2, 3, 5], rows(15, 1e-5, true)),
  on("layer_norm", { bias: false }, [300, 19], rows(19, 1e-5, true)),
  on("layer_norm", { elementwise_affine: false }, [2, 16], rows(16, 1e-5, true)),
  on("rms_norm", {}, [4, 9], rows(9, 2 ** -23, false)),
  on("rms_norm", { elementwise_affine: false, eps: 0.01 }, [4, 24], rows(24, 0.01, false)),
  on("group_norm", { num_groups: 2 }, [6], groups([6], 2)),
  on("group_norm", { num_groups: 3 }, [6, 5], groups([6, 5], 3)),
  on("group_norm", { num_groups: 1 }, [5, 3, 3], groups([5, 3, 3], 1)),
  on("group_norm", { num_groups: 4, affine: false }, [4, 17], groups([4, 17], 4)),
  ...[[1], [7], [13], [3, 5], [2, 4, 6], [3, 2, 9]].flatMap((shape) =>
    shape.flatMap((_, dim) => [
      on("softmax", { dim }, shape, runs(shape, dim, softmax)),
      on("log_softmax", { dim: dim - shape.length }, shape, runs(shape, dim, logarithms)),
    ]),
  ),
];

const mixing: LayerCase[] = [
  on("batch_norm1d", {}, [1], batches([1]), 2),
  on("batch_norm1d", {}, [11], batches([11]), 5),
  on("batch_norm1d", {}, [3, 7], batches([3, 7])),
  on("batch_norm1d", { affine: false }, [6], batches([6]), 9),
  on("batch_norm2d", {}, [5, 3, 4], batches([5, 3, 4])),
  on("batch_norm2d", {}, [2, 5, 5], batches([2, 5, 5]), 1),
];

describe("layers that normalize within a sample", () => {
  it.each(perSample)("$title", (layerCase) => {
    expectReference(layerCase);
    expectSameBits(layerCase);
    expectNaN(layerCase);
    expectUntouched(layerCase);
  });
});

describe("batch_norm", () => {
  it.each(mixing)("$title", (layerCase) => {
    expectReference(layerCase);
    expectSameBits(layerCase, true);
  });

  it.each([0.1, 1, null])("keeps running statistics, by a momentum of %s", (momentum) => {
    const [samples, shape] = [4, [5]];
    const { layers: list, inputs } = on("batch_norm1d", { momentum }, shape, batches(shape));
    const run = new LayerRun(list, inputs, samples);
    let [means, variances] = [Array.from({ length: 5 }, () => 0), Array.from({ length: 5 }, () => 1)];
    for (let batch = 1; batch <= 3; batch++) {
      const x = numbers(samples * 5, batch);
      run.forward([x], true);
      const move = momentum ?? 1 / batch;
      const columns = Array.from({ length: 5 }, (_, c) => rowsOf(x, 5).map((row) => row[c]));
      const mean = columns.map((values) => values.reduce((sum, value) => sum + value, 0) / samples);
      const squares = columns.map((values, c) => values.reduce((sum, value) => sum + (value - mean[c]) ** 2, 0));
      means = means.map((old, c) => (1 - move) * old + move * mean[c]);
      variances = variances.map((old, c) => (1 - move) * old + (move * squares[c]) / (samples - 1));
      expect(run.buffer("it.num_batches_tracked")).toEqual([batch]);
    }
    run.buffer("it.running_mean").forEach((value, c) => expect(value).toBeCloseTo(means[c], 6));
    run.buffer("it.running_var").forEach((value, c) => expect(value).toBeCloseTo(variances[c], 6));
    const x = numbers(samples * 5, 9);
    run.setParameter("it.weight", [1, 1, 1, 1, 1]);
    run.forward([x], false);
    const expected = x.map((value, i) => (value - means[i % 5]) / Math.sqrt(variances[i % 5] + 1e-5));
    run.output().forEach((value, i) => expect(value).toBeCloseTo(expected[i], 5));
    expect(run.buffer("it.num_batches_tracked")).toEqual([3]);
  });
});
