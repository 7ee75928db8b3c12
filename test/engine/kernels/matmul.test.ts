import { expect, test } from "vitest";
import { assertFused } from "../../../src/engine/kernels/kernels.ts";
import { transposedScratch } from "../../../src/engine/layers/layer.ts";
import { matmul } from "../../../src/engine/kernels/matmul.reference.ts";
import { Bench, bitsOf, numbers } from "../../support/kernels.ts";

const sizes = [1, 2, 3, 4, 5, 6, 7, 9, 13, 16];
const depths = [1, 3, 4, 255, 256, 257, 515];

function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(matrix, (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]);
}

test("this host's multiply-add is fused", () => {
  expect(() => assertFused(new Bench().kernels)).not.toThrow();
});

test.each(depths)("the product has its reference's bits in every tile, layout and edge (k = %i)", (k) => {
  for (const m of sizes) {
    for (const n of sizes) {
      const bench = new Bench();
      const { kernels } = bench;
      const [a, b, bias] = [numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3)];
      const panel = bench.reserve(8192);
      const plain = { a: bench.floats(a), b: bench.floats(b), bias: bench.floats(bias) };
      const transposed = { a: bench.floats(transpose(a, m, k)), b: bench.floats(transpose(b, k, n)) };
      const out = bench.floats(new Float32Array(m * n + 4).fill(7));
      const packed = (address: number, row: number, isTransposed: number) => {
        const length = k * Math.ceil(n / 4) * 4;
        const panels = bench.floats(new Float32Array(length + 4).fill(7));
        kernels.pack_panels(panels, address, n, k, row, isTransposed);
        expect(bench.read(panels + length * 4, 4)).toEqual(new Float32Array(4).fill(7));
        return panels;
      };
      const expected = matmul(a, b, bias, [m, n, k], (x, y, z) => kernels.multiply_add(x, y, z));
      const layouts = [
        () => kernels.matmul(out, plain.a, plain.b, m, n, k, n * 4, k * 4, 4, n * 4, 0, plain.bias, panel),
        () => kernels.matmul(out, plain.a, transposed.b, m, n, k, n * 4, k * 4, 4, k * 4, 1, plain.bias, panel),
        () => kernels.matmul(out, transposed.a, plain.b, m, n, k, n * 4, 4, m * 4, n * 4, 0, plain.bias, panel),
        () => kernels.matmul_packed(out, plain.a, packed(plain.b, n * 4, 0), m, n, k, n * 4, k * 4, 4, plain.bias),
        () => kernels.matmul_packed(out, plain.a, packed(transposed.b, k * 4, 1), m, n, k, n * 4, k * 4, 4, plain.bias),
      ];
      for (const run of layouts) {
        run();
        expect(bench.bits(out, m * n)).toEqual(bitsOf(expected));
        expect(bench.read(out + m * n * 4, 4)).toEqual(new Float32Array(4).fill(7));
      }
    }
  }
});

test.each([
  [1, 5, 300],
  [7, 11, 515],
  [16, 8, 3],
  [99, 9, 257],
  [199, 13, 20],
  [390, 3, 260],
])("products of %i × %i × %i have the same bits in blocks of rows", (m, n, k) => {
  const bench = new Bench(1 << 22);
  const { kernels } = bench;
  const [a, b] = [numbers(m * k, 1), numbers(k * n, 2)];
  const scratch = bench.reserve(transposedScratch(m));
  const after = bench.floats([7]);
  const [left, transposed, right] = [bench.floats(a), bench.floats(transpose(a, m, k)), bench.floats(b)];
  const expected = bitsOf(matmul(a, b, null, [m, n, k], (x, y, z) => kernels.multiply_add(x, y, z)));
  const out = bench.floats(new Float32Array(m * n + 4).fill(7));
  kernels.matmul(out, left, right, m, n, k, n * 4, k * 4, 4, n * 4, 0, 0, scratch);
  expect(bench.bits(out, m * n)).toEqual(expected);
  kernels.f32.fill(7, out / 4, out / 4 + m * n);
  kernels.matmul_transposed(out, transposed, right, m, n, k, n * 4, m * 4, n * 4, scratch);
  expect(bench.bits(out, m * n)).toEqual(expected);
  expect(bench.read(out + m * n * 4, 4)).toEqual(new Float32Array(4).fill(7));
  expect(bench.read(after, 1)).toEqual(new Float32Array([7]));
});

test.each(depths)("a product is added to what is there, block after block (k = %i)", (k) => {
  const [m, n] = [7, 11];
  const bench = new Bench();
  const { kernels } = bench;
  const [a, b, start] = [numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3)];
  const [panel, out] = [bench.reserve(8192), bench.floats([...start, 7, 7])];
  kernels.matmul_add(out, bench.floats(a), bench.floats(b), m, n, k, n * 4, k * 4, 4, n * 4, 0, panel);
  const expected = start.slice();
  for (let p = 0; p < k; p += 256) {
    const depth = Math.min(256, k - p);
    const left = Float32Array.from({ length: m * depth }, (_, i) => a[Math.floor(i / depth) * k + p + (i % depth)]);
    const fma = (x: number, y: number, z: number) => kernels.multiply_add(x, y, z);
    const block = matmul(left, b.subarray(p * n), null, [m, n, depth], fma);
    for (let i = 0; i < expected.length; i++) expected[i] += block[i];
  }
  expect(bench.bits(out, m * n)).toEqual(bitsOf(expected));
  expect(bench.read(out + m * n * 4, 2)).toEqual(new Float32Array(2).fill(7));
});

test("column sums are products with a row of ones", () => {
  for (const rows of [1, 5, 256, 257, 600]) {
    for (const columns of [1, 3, 4, 11]) {
      const bench = new Bench();
      const x = numbers(rows * columns, rows);
      const address = bench.floats(x);
      const out = bench.reserve(columns * 4);
      const fma = (a: number, b: number, c: number) => bench.kernels.multiply_add(a, b, c);
      const expected = matmul(new Float32Array(rows).fill(1), x, null, [1, columns, rows], fma);
      bench.kernels.column_sums(out, address, columns * 4, rows, 0, columns);
      expect(bench.bits(out, columns)).toEqual(bitsOf(expected));
    }
  }
});
