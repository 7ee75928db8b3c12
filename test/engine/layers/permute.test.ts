import { expect, it } from "vitest";
import { permute } from "../../../src/engine/layers/permute/reference.ts";
import { Permutation } from "../../../src/engine/layers/permute/permutation.ts";
import { size } from "../../../src/engine/member/shape.ts";
import { Bench, numbers } from "../../support/kernels.ts";

const cases: readonly (readonly [number[], number[]])[] = [
  [[7], [0]],
  [
    [1, 1],
    [1, 0],
  ],
  [
    [5, 9],
    [1, 0],
  ],
  [
    [16, 12],
    [1, 0],
  ],
  [
    [3, 1, 6],
    [2, 1, 0],
  ],
  [
    [3, 4, 5],
    [0, 2, 1],
  ],
  [
    [3, 4, 5],
    [1, 0, 2],
  ],
  [
    [2, 3, 4, 9],
    [3, 1, 0, 2],
  ],
  [
    [2, 3, 4, 5],
    [2, 3, 0, 1],
  ],
];

it.each(cases)("%j in the order %j has the reference's values", (shape, dims) => {
  const samples = 3;
  const each = size(shape);
  const x = numbers(samples * each, 1);
  const bench = new Bench();
  const from = bench.floats(x);
  const to = bench.floats(new Float32Array(samples * each).fill(-1));
  new Permutation(bench.kernels, shape, dims).copy(to, from, 1, samples);
  expect(bench.read(to, each)).toEqual(new Float32Array(each).fill(-1));
  for (let n = 1; n < samples; n++) {
    const expected = permute(x.slice(n * each, (n + 1) * each), shape, dims);
    expect([...bench.read(to + n * each * 4, each)]).toEqual(expected);
  }
});
