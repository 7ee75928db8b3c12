/** The passes that all convolutions are made of. The layers' options are tested elsewhere. */
import { describe, expect, it } from "vitest";
import { matmul } from "../../../src/engine/kernels/matmul.reference.ts";
import { Convolution, scratchBytes, type Geometry } from "../../../src/engine/layers/conv2d/convolution.ts";
import * as reference from "../../../src/engine/layers/conv2d/reference.ts";
import type { Sliding } from "../../../src/engine/layers/sliding.ts";
import { expectClose } from "../../support/golden.ts";
import { Bench, bitsOf, numbers } from "../../support/kernels.ts";

const SAMPLES = 3;

/** What the buffers hold before a pass writes to them. */
const UNTOUCHED = -12345;

function sliding(size: number, kernel: number, stride = 1, padding = 0, dilation = 1, after = padding): Sliding {
  const count = Math.floor((size + padding + after - dilation * (kernel - 1) - 1) / stride) + 1;
  return { size, kernel, stride, padding, dilation, count };
}

const geometry = (inputs: number, outputs: number, groups: number, rows: Sliding, columns: Sliding): Geometry => ({
  inputs,
  outputs,
  groups,
  rows,
  columns,
});

const geometries: Readonly<Record<string, Geometry>> = {
  "one number": geometry(1, 1, 1, sliding(1, 1), sliding(1, 1)),
  "a sequence": geometry(3, 7, 1, sliding(1, 1), sliding(19, 4, 1, 2)),
  "3 × 3 with padding": geometry(3, 8, 1, sliding(9, 3, 1, 1), sliding(11, 3, 1, 1)),
  "more than a block of taps and positions": geometry(31, 7, 1, sliding(18, 3, 1, 1), sliding(17, 3, 1, 1)),
  "the same with few outputs": geometry(31, 2, 1, sliding(18, 3, 1, 1), sliding(17, 3, 1, 1)),
  "narrow images": geometry(5, 6, 1, sliding(6, 3, 1, 1), sliding(2, 1)),
  "no padding, few outputs": geometry(2, 3, 1, sliding(8, 5), sliding(13, 3)),
  "uneven padding": geometry(2, 9, 1, sliding(8, 4, 1, 1, 1, 2), sliding(7, 2, 1, 0, 1, 1)),
  "more padding than kernel": geometry(2, 3, 1, sliding(4, 2, 1, 3), sliding(5, 1, 1, 2)),
  "stride 2": geometry(3, 5, 1, sliding(9, 3, 2, 1), sliding(12, 4, 2, 1)),
  "stride longer than the kernel": geometry(2, 6, 1, sliding(11, 2, 3), sliding(9, 1, 4)),
  "stride 3 with rows left over": geometry(2, 3, 1, sliding(7, 5, 3, 3), sliding(8, 5, 3, 3)),
  dilation: geometry(2, 6, 1, sliding(12, 3, 1, 2, 2), sliding(14, 3, 1, 3, 3)),
  "dilation and stride": geometry(2, 6, 1, sliding(12, 3, 2, 2, 2), sliding(14, 3, 2, 1, 3)),
  groups: geometry(4, 12, 2, sliding(7, 3, 1, 1), sliding(6, 3, 1, 1)),
  depthwise: geometry(5, 5, 5, sliding(7, 3, 1, 1), sliding(10, 3, 1, 1)),
  "depthwise with stride": geometry(5, 10, 5, sliding(7, 3, 2, 1), sliding(13, 5, 2, 2)),
};

/** Runs all passes, cut into slabs of samples and of rows of the weight, at the given places. */
function run(geometry: Geometry, values: Values, slabs = [0, SAMPLES], cuts = [0, geometry.outputs]) {
  const { x, y, weight, bias } = values;
  const bench = new Bench(1 << 21);
  const scratch = bench.floats(new Float32Array(scratchBytes(geometry) / 4 + 16).fill(UNTOUCHED));
  const convolution = new Convolution(bench.kernels, geometry, scratch);
  const at = {
    x: bench.floats(x),
    y: bench.floats(y),
    weight: bench.floats(weight),
    outputBias: bench.floats(bias.slice(0, geometry.outputs)),
    inputBias: bench.floats(bias.slice(0, geometry.inputs)),
  };
  const blank = (like: Float32Array) => bench.floats(new Float32Array(like.length + 16).fill(UNTOUCHED));
  const out = { y: blank(y), x: blank(x), weight: blank(weight), plain: blank(x) };
  for (let i = 1; i < slabs.length; i++) {
    convolution.apply(out.y, at.x, at.weight, at.outputBias, slabs[i - 1], slabs[i]);
    convolution.transpose(out.x, at.y, at.weight, at.inputBias, slabs[i - 1], slabs[i]);
    convolution.transpose(out.plain, at.y, at.weight, 0, slabs[i - 1], slabs[i]);
  }
  for (let i = 1; i < cuts.length; i++) convolution.correlate(out.weight, at.y, at.x, cuts[i - 1], cuts[i], SAMPLES);
  expect(bench.read(scratch + scratchBytes(geometry), 16)).toEqual(new Float32Array(16).fill(UNTOUCHED));
  return {
    y: bench.read(out.y, y.length + 16),
    x: bench.read(out.x, x.length + 16),
    plain: bench.read(out.plain, x.length + 16),
    weight: bench.read(out.weight, weight.length + 16),
    kernels: bench.kernels,
  };
}

interface Values {
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

function valuesOf({ inputs, outputs, groups, rows, columns }: Geometry): Values {
  return {
    x: numbers(SAMPLES * inputs * rows.size * columns.size, 1).map((x) => x / 4),
    y: numbers(SAMPLES * outputs * rows.count * columns.count, 2).map((x) => x / 4),
    weight: numbers((outputs * inputs * rows.kernel * columns.kernel) / groups, 3).map((x) => x / 4),
    bias: numbers(Math.max(inputs, outputs), 4),
  };
}

/** Adds a bias to each channel. */
function biased(values: ArrayLike<number>, bias: Float32Array, channels: number): number[] {
  const size = values.length / SAMPLES / channels;
  return Array.from(values, (value, i) => value + bias[Math.floor(i / size) % channels]);
}

describe.each(Object.entries(geometries))("%s", (_, geometry) => {
  const values = valuesOf(geometry);
  const whole = run(geometry, values);

  it("agrees with the reference", () => {
    const { x, y, weight, bias } = values;
    const { inputs, outputs } = geometry;
    const dx = reference.transpose(geometry, y, weight);
    // Sums of terms of some hundreds; the tolerance is relative to those.
    const close = (actual: Float32Array, expected: ArrayLike<number>, what: string) =>
      expectClose(
        actual.slice(0, -16).map((v) => v / 1000),
        Array.from(expected, (v) => v / 1000),
        1e-6,
        what,
      );
    close(whole.y, biased(reference.apply(geometry, x, weight), bias, outputs), "output");
    close(whole.plain, dx, "input gradient");
    close(whole.x, biased(dx, bias, inputs), "transposed");
    close(whole.weight, reference.correlate(geometry, y, x), "weight gradient");
  });

  it("gives the same bits however samples and rows are cut, and touches nothing beyond", () => {
    const cuts = [...new Set([0, 1, Math.ceil(geometry.outputs / 2), geometry.outputs])];
    const cut = run(geometry, values, [0, 1, SAMPLES], cuts);
    for (const name of ["y", "x", "plain", "weight"] as const) {
      expect(bitsOf(cut[name])).toEqual(bitsOf(whole[name]));
      expect(whole[name].slice(-16)).toEqual(new Float32Array(16).fill(UNTOUCHED));
    }
  });

  it("passes NaN on", () => {
    const spoilt = (values: Float32Array) => values.map((value, i) => (i === 0 ? NaN : value));
    const fromWeight = run(geometry, { ...values, weight: spoilt(values.weight) });
    const fromY = run(geometry, { ...values, y: spoilt(values.y) });
    expect(fromWeight.y.some(Number.isNaN)).toBe(true);
    expect(fromWeight.plain.some(Number.isNaN)).toBe(true);
    expect(fromY.weight.some(Number.isNaN)).toBe(true);
  });
});

it.each(["more than a block of taps and positions", "the same with few outputs"])(
  "sums in the order of the taps and of the positions, block by block: %s",
  (name) => {
    const geometry: Geometry = geometries[name];
    const { x, y, weight } = valuesOf(geometry);
    const {
      plain: dx,
      y: biasedOutput,
      weight: dw,
      kernels,
    } = run(geometry, {
      ...valuesOf(geometry),
      bias: new Float32Array(31).fill(-0),
    });
    const fma = (a: number, b: number, c: number) => kernels.multiply_add(a, b, c);
    const { inputs, outputs, rows, columns } = geometry;
    const [places, taps] = [rows.count * columns.count, rows.kernel * columns.kernel];
    const sizeOf = (values: Float32Array) => values.length / SAMPLES;
    const sample = (values: Float32Array, n: number) => values.slice(n * sizeOf(values), (n + 1) * sizeOf(values));
    /** The element of an image that a tap sees from a position; `turn` is −1 from y's side. */
    const seen = (image: Float32Array, channel: number, position: number, tap: number, turn: number) => {
      const row = Math.floor(position / columns.size) + turn * (Math.floor(tap / 3) - 1);
      const column = (position % columns.size) + turn * ((tap % 3) - 1);
      const inside = row >= 0 && row < rows.size && column >= 0 && column < columns.size;
      return inside ? image[(channel * rows.size + row) * columns.size + column] : 0;
    };
    const matrix = (height: number, width: number, at: (i: number, j: number) => number) =>
      Float32Array.from({ length: height * width }, (_, i) => at(Math.floor(i / width), i % width));
    let gradient: Float32Array | null = null;
    for (let n = 0; n < SAMPLES; n++) {
      const [image, upstream] = [sample(x, n), sample(y, n)];
      const unfolded = matrix(inputs * taps, places, (p, j) => seen(image, Math.floor(p / taps), j, p % taps, 1));
      const output = matmul(weight, unfolded, null, [outputs, places, inputs * taps], fma);
      expect(bitsOf(biasedOutput.slice(n * output.length, (n + 1) * output.length))).toEqual(bitsOf(output));
      const turned = matrix(inputs, outputs * taps, (c, p) => {
        return weight[(Math.floor(p / taps) * inputs + c) * taps + (p % taps)];
      });
      const around = matrix(outputs * taps, places, (p, j) => seen(upstream, Math.floor(p / taps), j, p % taps, -1));
      const back = matmul(turned, around, null, [inputs, places, outputs * taps], fma);
      expect(bitsOf(dx.slice(n * back.length, (n + 1) * back.length))).toEqual(bitsOf(back));
      gradient = addBlocks(gradient, upstream, unfolded);
    }
    expect(bitsOf(dw.slice(0, weight.length))).toEqual(bitsOf(gradient!));

    /** Adds a sample's product, each block of 256 positions by itself. */
    function addBlocks(sum: Float32Array | null, upstream: Float32Array, unfolded: Float32Array): Float32Array {
      let total = sum;
      for (let begin = 0; begin < places; begin += 256) {
        const depth = Math.min(256, places - begin);
        const a = matrix(outputs, depth, (o, p) => upstream[o * places + begin + p]);
        const b = matrix(depth, inputs * taps, (p, j) => unfolded[j * places + begin + p]);
        const block = matmul(a, b, null, [outputs, inputs * taps, depth], fma);
        const before: Float32Array | null = total;
        total = before === null ? block : block.map((value, i) => Math.fround(before[i] + value));
      }
      return total!;
    }
  },
);

it("sums up each channel of all samples, in any cut", () => {
  const [channels, size] = [5, 301];
  const values = numbers(SAMPLES * channels * size, 5);
  const sums = (cuts: readonly number[]) => {
    const bench = new Bench();
    const x = bench.floats(values);
    const out = bench.floats(new Float32Array(channels + 4).fill(UNTOUCHED));
    for (let i = 1; i < cuts.length; i++)
      bench.kernels.conv_channel_sums(out, x, channels, size, cuts[i - 1], cuts[i], SAMPLES);
    return bench.read(out, channels + 4);
  };
  const expected = new Float64Array(channels);
  values.forEach((value, i) => (expected[Math.floor(i / size) % channels] += value));
  const whole = sums([0, channels]);
  expectClose(whole, [...expected, UNTOUCHED, UNTOUCHED, UNTOUCHED, UNTOUCHED], 1e-6, "sums");
  expect(bitsOf(sums([0, 1, 3, channels]))).toEqual(bitsOf(whole));
});
