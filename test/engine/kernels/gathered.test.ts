import { expect, test } from "vitest";
import { matmul } from "../../../src/engine/kernels/matmul.reference.ts";
import { Bench, bitsOf, numbers } from "../../support/kernels.ts";

/** Places of columns in an image: in one piece, in pieces of some length, and anywhere. */
const layouts: Readonly<Record<string, (column: number) => number>> = {
  "side by side": (j) => j,
  "in pieces of 2": (j) => j + 5 * Math.floor(j / 2),
  "in pieces of 3": (j) => j + 7 * Math.floor(j / 3),
  "in pieces of 5": (j) => j + 9 * Math.floor(j / 5),
  "every second one": (j) => 2 * j,
  anywhere: (j) => (j * 37) % 101,
};

/** What lies around the result, to see that it stays. */
const GUARD = 7;

test.each(Object.entries(layouts))("a gathered product has the bits of the plain one: columns %s", (_, place) => {
  for (const k of [1, 4, 257, 520]) {
    for (const [m, n] of [
      [1, 1],
      [2, 9],
      [7, 13],
      [13, 24],
    ]) {
      const bench = new Bench();
      const { kernels } = bench;
      const lanes = Array.from({ length: n }, (_, j) => place(j) * 4);
      const steps = Array.from({ length: k }, (_, p) => ((p * 13) % 997) * 4);
      const image = numbers(1200, 1);
      const [a, bias] = [numbers(m * k, 2), numbers(m, 3)];
      const b = Float32Array.from({ length: k * n }, (_, i) => image[(steps[Math.floor(i / n)] + lanes[i % n]) / 4]);
      const fma = (x: number, y: number, z: number) => kernels.multiply_add(x, y, z);
      const product = matmul(a, b, null, [m, n, k], fma);
      const row = n + 3;
      const out = bench.floats(new Float32Array(m * row).fill(GUARD));
      const addresses = {
        a: bench.floats(a),
        image: bench.floats(image),
        lanes: bench.integers(lanes),
        steps: bench.integers(steps),
        bias: bench.floats(bias),
        panel: bench.reserve(8192),
      };
      const run = (add: number, bias: number) => {
        const { a, image, lanes, steps, panel } = addresses;
        kernels.matmul_gathered(out, a, image, m, n, k, row * 4, k * 4, 4, lanes, steps, add, bias, panel);
      };
      const expectRows = (value: (product: number, row: number) => number) => {
        for (let i = 0; i < m; i++) {
          const expected = product.slice(i * n, (i + 1) * n).map((x) => value(x, i));
          expect(bench.bits(out + i * row * 4, n)).toEqual(bitsOf(expected));
          expect(bench.read(out + (i * row + n) * 4, 3)).toEqual(new Float32Array(3).fill(GUARD));
        }
      };
      run(0, 0);
      expectRows((x) => x);
      run(0, addresses.bias);
      expectRows((x, i) => Math.fround(x + bias[i]));
      if (k > 256) continue; // Several blocks are added one by one.
      run(0, 0);
      run(1, 0);
      expectRows((x) => Math.fround(x + x));
    }
  }
});
