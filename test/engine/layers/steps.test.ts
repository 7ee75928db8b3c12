/** Layers that make one value of a dimension: `mean` and `select`. */
import { describe, expect, it } from "vitest";
import { backward, forward } from "../../../src/engine/layers/mean/reference.ts";
import { PlanError } from "../../../src/engine/plan/faults.ts";
import { expectClose } from "../../support/golden.ts";
import { numbers } from "../../support/kernels.ts";
import { LayerRun } from "../../support/layer-run.ts";
import { member } from "../../support/training.ts";

const SAMPLES = 5;

const runOf = (type: string, options: object, shape: readonly number[]) =>
  new LayerRun([member("layers", type, { ...options })], [{ name: "x", shape, type: "float32" }], SAMPLES);

/** Output and input gradient of SAMPLES samples, in the given slabs. */
function passes(run: LayerRun, x: ArrayLike<number>, upstream: ArrayLike<number>, slabs?: readonly number[]) {
  run.forward([x], true, slabs);
  const output = run.output();
  run.backward(upstream, true, slabs);
  return { output, gradient: run.inputGradient(0) };
}

/** Shapes, and what lies before and after the dimension. */
const cases: readonly (readonly [shape: number[], dim: number, outer: number, inner: number])[] = [
  [[7, 6], 0, 1, 6],
  [[300, 5], 0, 1, 5],
  [[1, 4], 0, 1, 4],
  [[9, 1], 0, 1, 1],
  [[3, 5, 7], 1, 3, 7],
  [[3, 5, 7], -1, 15, 1],
  [[3, 5, 7], -3, 1, 35],
];

describe.each(cases)("over %j, dimension %i", (shape, dim, outer, inner) => {
  const count = SAMPLES * shape.reduce((product, length) => product * length, 1);
  const rows = SAMPLES * outer;
  const length = count / rows / inner;
  const x = numbers(count, 3);
  const upstream = numbers(rows * inner, 4);

  it("mean agrees with its reference, however the samples are cut", () => {
    const run = runOf("mean", { dim }, shape);
    const { output, gradient } = passes(run, x, upstream);
    expectClose(output, forward(x, rows, length, inner), 1e-7, "output");
    expectClose(gradient, backward(upstream, rows, length, inner), 1e-7, "gradient");
    expect(passes(runOf("mean", { dim }, shape), x, upstream, [0, 1, 2, 5])).toEqual({ output, gradient });
  });

  it.each([0, -1])("select takes place %i, and gives the others no gradient", (index) => {
    const place = index < 0 ? length + index : index;
    const at = (i: number) => Math.floor(i / inner) * length * inner + place * inner + (i % inner);
    const { output, gradient } = passes(runOf("select", { dim, index }, shape), x, upstream);
    expect([...output]).toEqual([...upstream].map((_, i) => x[at(i)]));
    const expected = new Float32Array(count);
    upstream.forEach((value, i) => (expected[at(i)] = value));
    expect(gradient).toEqual(expected);
  });
});

it("the mean of a sample with NaN is NaN, and only there", () => {
  const x = Float32Array.from({ length: SAMPLES * 12 }, (_, i) => (i === 13 ? NaN : i));
  const { output } = passes(runOf("mean", {}, [3, 4]), x, new Float32Array(SAMPLES * 4));
  expect([...output].map(Number.isNaN)).toEqual([...output].map((_, i) => i === 5));
});

it("the mean of many steps loses no digits", () => {
  const x = new Float32Array(SAMPLES * 200_000).fill(0.1);
  expect([...passes(runOf("mean", {}, [200_000, 1]), x, new Float32Array(SAMPLES)).output]).toEqual(
    Array(SAMPLES).fill(Math.fround(0.1)),
  );
});

it("a dimension or place that is not there names what there is", () => {
  expect(() => runOf("mean", { dim: 2 }, [3, 4])).toThrow(PlanError);
  expect(() => runOf("mean", { dim: 2 }, [3, 4])).toThrow(/they go from 0 to 1, or from −2 to −1/);
  expect(() => runOf("mean", {}, [12])).toThrow(/takes \[time, features\] or more dimensions, but .* gives \[12\]/);
  expect(() => runOf("select", { dim: -3 }, [3, 4])).toThrow(/dimensions of the input \[3, 4\]/);
  expect(() => runOf("select", { index: 3 }, [3, 4])).toThrow(/places of dimension 0: they go from 0 to 2/);
});
