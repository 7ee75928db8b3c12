import { describe, expect, it } from "vitest";
import type { LayerType } from "../../../src/engine/layers/layer.ts";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { expectClose, goldenCases, tolerance, type GoldenTensor, type Spread } from "../../support/golden.ts";
import { Bench } from "../../support/kernels.ts";
import { settingsOf } from "../../support/tries.ts";

/*
 * What every elementwise layer of the registry must pass. It needs a `reference.ts` beside its
 * kernel, and a case of PyTorch's in test/golden/layers/activation.json.
 */

interface Reference {
  forward(x: number, options: object): number;
  derivative(x: number, options: object): number;
}

const elementwise = Object.values(layers).filter(({ elementwise }) => elementwise);
const members = await Promise.all(
  elementwise.map(async (type) => ({
    torch: type.source.replace("torch.nn.", ""),
    type,
    reference: (await import(`../../../src/engine/layers/${type.type}/reference.ts`)) as Reference,
    options: settingsOf(type),
  })),
);

/** What the buffers hold before a layer writes to them. */
const UNTOUCHED = -12345;

/**
 * A layer on `x`, every number a sample of `size` elements; passes run in the given slabs of
 * samples.
 */
function run(
  type: LayerType,
  options: Readonly<Record<string, unknown>>,
  x: ArrayLike<number>,
  upstream: ArrayLike<number>,
  size = 1,
  slabs = [0, x.length / size],
) {
  const bench = new Bench(x.length * 16 + 4096);
  const untouched = () => bench.floats(new Float32Array(x.length).fill(UNTOUCHED));
  const shape = { shape: [size], size };
  const input = { address: bench.floats(x), gradient: untouched(), ...shape };
  const output = { address: untouched(), gradient: bench.floats(upstream), ...shape };
  const none = { saved: 0, mixed: 0, shapes: [], gradients: [], buffers: [], stream: 0, scratch: 0 };
  const layer = type.create(bench.kernels, options, { inputs: [input], output, ...none });
  const pass = { training: true, batch: 0, seedLow: 0, seedHigh: 0 };
  for (let i = 1; i < slabs.length; i++) {
    layer.forward([], slabs[i - 1], slabs[i], pass);
    layer.backward([], slabs[i - 1], slabs[i], pass);
  }
  return {
    output: bench.read(output.address, x.length),
    gradient: bench.read(input.gradient, x.length),
    bits: [bench.bits(output.address, x.length), bench.bits(input.gradient, x.length)],
  };
}

/**
 * Floats of every magnitude up to 1e30 and both signs, the subnormal ones, and a fine grid where
 * the functions bend.
 */
const inputs = (() => {
  const magnitudes = Array.from({ length: 400 }, (_, i) => 10 ** (i / 5 - 50)).concat([100, 88.7, 20, 1e-45, 1.2e-38]);
  const grid = Array.from({ length: 4001 }, (_, i) => (i - 2000) / 100);
  return Float32Array.from([0, -0, ...grid, ...magnitudes, ...magnitudes.map((x) => -x)]);
})();

interface LayerCase {
  readonly id: string;
  readonly layer: string;
  readonly options: Record<string, number | string>;
  readonly inputs: { readonly x: GoldenTensor };
  readonly upstream: { readonly y: GoldenTensor };
  readonly expected: {
    readonly float64: {
      readonly outputs: { readonly y: GoldenTensor };
      readonly grad_inputs: { readonly x: GoldenTensor };
    };
  };
  readonly float32_vs_float64: Spread;
}

describe.each(members)("$type.type", ({ torch, type, reference, options }) => {
  const golden = goldenCases<LayerCase>("layers/activation.json").filter((golden) => golden.layer === torch);

  it("has PyTorch's defaults", () => {
    const defaults = Object.fromEntries(Object.entries(type.options).map(([name, option]) => [name, option.default]));
    expect(defaults).toEqual(golden[0].options);
  });

  it.each(golden)("gives PyTorch's numbers: $id", (golden) => {
    const { output, gradient } = run(type, golden.options, golden.inputs.x.data, golden.upstream.y.data);
    const allowed = tolerance(5e-6, golden.float32_vs_float64);
    expectClose(output, golden.expected.float64.outputs.y.data, allowed, "output");
    expectClose(gradient, golden.expected.float64.grad_inputs.x.data, allowed, "input gradient");
  });

  it.each(options)("agrees with its reference: %o", (options) => {
    const { output, gradient } = run(type, options, inputs, new Float32Array(inputs.length).fill(1));
    const expected = Array.from(inputs, (x) => reference.forward(x, options));
    // Relative where the result is large, absolute where it is small: some derivatives cancel.
    expectClose(output, expected, 5e-7, "output");
    expectClose(
      gradient,
      Array.from(inputs, (x) => reference.derivative(x, options)),
      5e-7,
      "derivative",
    );
  });

  it.each(options)("passes NaN on: %o", (options) => {
    const { output, gradient } = run(type, options, new Float32Array(7).fill(NaN), new Float32Array(7).fill(NaN));
    expect([...output, ...gradient].every(Number.isNaN)).toBe(true);
  });

  it.each(options)("gives the same bits however the samples are cut: %o", (options) => {
    const x = inputs.slice(0, 4095);
    const upstream = x.map((_, i) => Math.sin(i) * 3);
    const whole = run(type, options, x, upstream, 3).bits;
    const samples = x.length / 3;
    for (const slabs of [Array.from({ length: samples + 1 }, (_, i) => i), [0, 1, 7, 7, 102, 500, 1001, samples]]) {
      expect(run(type, options, x, upstream, 3, slabs).bits).toEqual(whole);
    }
  });

  it("touches no other samples", () => {
    const { output, gradient } = run(type, options[0], inputs.slice(0, 99), inputs.slice(0, 99), 3, [7, 12]);
    for (const values of [output, gradient]) {
      expect(values.slice(21, 36)).not.toContain(UNTOUCHED);
      expect([...values.slice(0, 21), ...values.slice(36)].every((value) => value === UNTOUCHED)).toBe(true);
    }
  });
});
