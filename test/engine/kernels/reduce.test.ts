import { describe, expect, it } from "vitest";
import { clipCoefficient } from "../../../src/engine/step/gradient.ts";
import { SUM_BLOCK } from "../../../src/engine/optimizers/optimizer.ts";
import { Bench } from "../../support/kernels.ts";

const length = 3 * SUM_BLOCK + 13;
const bench = new Bench();
const { kernels } = bench;
const values = Float32Array.from({ length }, (_, i) => Math.sin(i * i) * 10 ** ((i % 9) - 4));
const address = bench.floats(values);
const { pow } = kernels;

/** The canonical order, plainly: eight running sums, added up pairwise, then the rest. */
function blockSum(terms: readonly number[]): number {
  const lanes = Array<number>(8).fill(0);
  const whole = terms.length - (terms.length % 8);
  for (let i = 0; i < whole; i++) lanes[i % 8] += terms[i];
  const [a, b, c, d, e, f, g, h] = lanes;
  return terms.slice(whole).reduce((sum, term) => sum + term, a + b + (c + d) + (e + f + (g + h)));
}

function canonicalSum(count: number, term: (x: number) => number): number {
  const terms = Array.from(values.subarray(0, count), term);
  let sum = 0;
  for (let begin = 0; begin < count; begin += SUM_BLOCK) sum += blockSum(terms.slice(begin, begin + SUM_BLOCK));
  return sum;
}

const COUNTS = [0, 1, 7, 8, 13, SUM_BLOCK, SUM_BLOCK + 1, length];

describe("sums", () => {
  it.each(COUNTS)("of %d elements are added in the canonical order", (count) => {
    expect(kernels.sum_f32(address, count)).toBe(canonicalSum(count, (x) => x));
  });

  it.each([
    [1, (x: number) => Math.abs(x)],
    [2, (x: number) => x * x],
    [3, (x: number) => Math.abs(x) * Math.abs(x) * Math.abs(x)],
    [2.5, (x: number) => pow(Math.abs(x), 2.5)],
  ])("of the parts of a %d-norm too", (p, term) => {
    for (const count of COUNTS) expect(kernels.norm_part(address, count, p)).toBe(canonicalSum(count, term));
  });

  it("may be computed block by block by any thread, and added up", () => {
    const parts: number[] = [];
    for (let begin = 0; begin < length; begin += SUM_BLOCK) {
      parts.push(kernels.sum_f32(address + begin * 4, Math.min(SUM_BLOCK, length - begin)));
    }
    const at = bench.reserve(parts.length * 8);
    kernels.f64.set(parts, at >> 3);
    expect(kernels.sum_f64(at, parts.length)).toBe(kernels.sum_f32(address, length));
  });
});

describe("norms", () => {
  const norm = (numbers: number[], p: number) =>
    kernels.norm_of(kernels.norm_part(bench.floats(numbers), numbers.length, p), p);

  it.each([
    [1, 7],
    [2, 5],
    [3, Math.cbrt(91)],
    [0.5, (Math.sqrt(3) + 2) ** 2],
    [Infinity, 4],
  ])("the %d-norm of (3, −4) is %d", (p, expected) => expect(norm([3, -4], p)).toBeCloseTo(expected, 13));

  it("neither overflow nor vanish at the limits of float32", () => {
    expect(norm([3e38, 3e38], 2)).toBeCloseTo(Math.fround(3e38) * Math.SQRT2, -30);
    expect(norm([1e-20, 1e-20], 2)).toBeGreaterThan(1.4e-20);
  });

  it("are NaN if an element is NaN", () => {
    for (const p of [1, 2, 3, Infinity]) expect(norm([1, NaN, 2], p)).toBeNaN();
  });
});

describe("clipping", () => {
  it("scales by max_norm over the norm, but never up", () => {
    expect(clipCoefficient(5, 1)).toBe(1 / (5 + 1e-6));
    expect(clipCoefficient(0.5, 1)).toBe(1);
    expect(clipCoefficient(0, 1)).toBe(1);
    expect(clipCoefficient(NaN, 1)).toBeNaN();
  });

  it("scales and clamps exactly the range it is given", () => {
    const numbers = [-9, -2, -0.5, 0, 0.5, 2, 9, NaN, Infinity, 3];
    const scaled = bench.floats(numbers);
    kernels.scale(scaled + 4, 7, 0.5);
    expect([...bench.read(scaled, 10)]).toEqual([-9, -1, -0.25, 0, 0.25, 1, 4.5, NaN, Infinity, 3]);
    const clamped = bench.floats(numbers);
    kernels.clamp(clamped, 9, 1);
    expect([...bench.read(clamped, 10)]).toEqual([-1, -1, -0.5, 0, 0.5, 1, 1, NaN, 1, 3]);
  });
});
