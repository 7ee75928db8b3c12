/** The kernels of pooling layers. The layers' options are tested elsewhere. */
import { describe, expect, it } from "vitest";
import { windows as adaptiveWindows } from "../../../src/engine/layers/adaptive_avg_pool2d/reference.ts";
import * as avg from "../../../src/engine/layers/avg_pool2d/reference.ts";
import type { Sliding } from "../../../src/engine/layers/sliding.ts";
import * as max from "../../../src/engine/layers/max_pool2d/reference.ts";
import { windows, type PlaneWindow } from "../../../src/engine/layers/windows.reference.ts";
import { expectClose } from "../../support/golden.ts";
import { Bench, numbers } from "../../support/kernels.ts";

const PLANES = 3;
const UNTOUCHED = -12345;
const GUARD = 5;

interface Pool {
  readonly rows: Sliding;
  readonly columns: Sliding;
}

const sliding = (
  size: number,
  kernel: number,
  stride: number,
  padding = 0,
  dilation = 1,
  count = Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1,
): Sliding => ({ size, kernel, stride, padding, dilation, count });

const pools: Readonly<Record<string, Pool>> = {
  "2 × 2": { rows: sliding(6, 2, 2), columns: sliding(22, 2, 2) },
  "3 × 3 with stride 1": { rows: sliding(5, 3, 1, 1), columns: sliding(19, 3, 1, 1) },
  "3 × 3 with stride 2": { rows: sliding(9, 3, 2, 1), columns: sliding(21, 3, 2, 1) },
  "unequal dimensions": { rows: sliding(1, 1, 1), columns: sliding(23, 4, 3, 2) },
  "windows that end beyond the input": { rows: sliding(7, 2, 2, 0, 1, 4), columns: sliding(10, 3, 2, 1, 1, 6) },
  "windows apart": { rows: sliding(11, 2, 4), columns: sliding(29, 2, 5) },
  "long windows": { rows: sliding(7, 3, 2, 1), columns: sliding(41, 13, 7, 6) },
  "one long window": { rows: sliding(3, 3, 3), columns: sliding(21, 21, 21) },
  "one window": { rows: sliding(4, 4, 4), columns: sliding(5, 5, 5) },
};

const dilated: Readonly<Record<string, Pool>> = {
  dilation: { rows: sliding(9, 3, 1, 1, 2), columns: sliding(17, 2, 2, 1, 3) },
  "a window without elements": { rows: sliding(2, 2, 1, 1, 3), columns: sliding(6, 2, 1, 1, 3) },
};

const ofPlane = <T extends { slice(begin: number, end: number): T; length: number }>(values: T, plane: number): T =>
  values.slice((plane * values.length) / PLANES, ((plane + 1) * values.length) / PLANES);
const planes = [0, 1, 2];

/** Runs kernels on two planes and one, as two threads do, into guarded buffers. */
function inParts(run: (begin: number, end: number) => void): void {
  run(0, 2);
  run(2, PLANES);
}

function maxPool({ rows, columns }: Pool, x: Float32Array, dy: Float32Array) {
  const bench = new Bench();
  const at = { x: bench.floats(x), dy: bench.floats(dy) };
  const blank = (length: number) => bench.floats(new Float32Array(length + GUARD).fill(UNTOUCHED));
  const out = { y: blank(dy.length), dx: blank(x.length), places: bench.reserve((dy.length + GUARD) * 4) };
  const [inputs, outputs] = [x.length / PLANES, dy.length / PLANES];
  inParts((begin, end) => {
    bench.kernels.max_pool_forward(
      out.y + begin * outputs * 4,
      out.places + begin * outputs * 4,
      at.x + begin * inputs * 4,
      end - begin,
      rows.size,
      columns.size,
      rows.count,
      columns.count,
      rows.kernel,
      columns.kernel,
      rows.stride,
      columns.stride,
      rows.padding,
      columns.padding,
      rows.dilation,
      columns.dilation,
    );
    bench.kernels.max_pool_backward(
      out.dx + begin * inputs * 4,
      at.dy + begin * outputs * 4,
      out.places + begin * outputs * 4,
      end - begin,
      inputs,
      outputs,
    );
  });
  const untouched = new Float32Array(GUARD).fill(UNTOUCHED);
  expect(bench.read(out.y + dy.length * 4, GUARD)).toEqual(untouched);
  expect(bench.read(out.dx + x.length * 4, GUARD)).toEqual(untouched);
  expect(bench.bits(out.places + dy.length * 4, GUARD)).toEqual(new Int32Array(GUARD));
  return {
    y: bench.read(out.y, dy.length),
    dx: bench.read(out.dx, x.length),
    places: bench.bits(out.places, dy.length),
  };
}

describe.each(Object.entries({ ...pools, ...dilated }))("max pool: %s", (_, pool) => {
  const size = pool.rows.size * pool.columns.size;
  const list = windows(pool.rows, pool.columns);
  const dy = numbers(PLANES * list.length, 7);

  function expectReference(x: Float32Array): void {
    const { y, dx, places } = maxPool(pool, x, dy);
    for (const plane of planes) {
      const input = ofPlane(x, plane);
      const expected = max.places(input, list);
      expect([...ofPlane(places, plane)]).toEqual(expected);
      const values = expected.map((place) => (place < 0 ? -Infinity : input[place]));
      expect(ofPlane(y, plane)).toEqual(Float32Array.from(values));
      expectClose(ofPlane(dx, plane), max.backward(expected, ofPlane(dy, plane), size), 1e-6, "input gradient");
    }
  }

  it("agrees with the reference", () => expectReference(numbers(PLANES * size, 3)));

  it("takes the first of equal numbers", () => expectReference(numbers(PLANES * size, 4).map((x) => Math.round(x))));

  it("prefers an element to padding, even −∞", () => expectReference(new Float32Array(PLANES * size).fill(-Infinity)));

  it("passes NaN on", () => {
    const x = numbers(PLANES * size, 5).map((value, i) => (i % 11 === 3 ? NaN : value));
    expectReference(x);
  });
});

interface Means {
  forward(bench: Bench, y: number, x: number, planes: number): void;
  backward(bench: Bench, dx: number, dy: number, planes: number): void;
  readonly windows: readonly PlaneWindow[];
  readonly divisor: (window: PlaneWindow) => number;
  readonly size: number;
}

function avgPool({ rows, columns }: Pool, countPadding: number, divisor: number): Means {
  type Numbers = readonly [number, number, number, number];
  const { size: height } = rows;
  const { size: width } = columns;
  const counts: Numbers = [height, width, rows.count, columns.count];
  const kernel: Numbers = [rows.kernel, columns.kernel, rows.stride, columns.stride];
  const rest: Numbers = [rows.padding, columns.padding, countPadding, divisor];
  return {
    forward: ({ kernels }, y, x, planes) => kernels.avg_pool_forward(y, x, planes, ...counts, ...kernel, ...rest),
    backward: ({ kernels }, dx, dy, planes) => kernels.avg_pool_backward(dx, dy, planes, ...counts, ...kernel, ...rest),
    windows: windows(rows, columns),
    divisor: ({ places, padded }) => divisor || (countPadding ? padded : places.length),
    size: height * width,
  };
}

function adaptivePool(height: number, width: number, rows: number, columns: number): Means {
  return {
    forward: ({ kernels }, y, x, planes) =>
      kernels.adaptive_avg_pool_forward(y, x, planes, height, width, rows, columns),
    backward: ({ kernels }, dx, dy, planes) =>
      kernels.adaptive_avg_pool_backward(dx, dy, planes, height, width, rows, columns),
    windows: adaptiveWindows([height, width], [rows, columns]),
    divisor: ({ places }) => places.length,
    size: height * width,
  };
}

const means: Readonly<Record<string, Means>> = {
  ...Object.fromEntries(
    Object.entries(pools).flatMap(([name, pool]) => [
      [name, avgPool(pool, 1, 0)],
      [`${name}, padding not counted`, avgPool(pool, 0, 0)],
      [`${name}, divided by 3`, avgPool(pool, 1, 3)],
    ]),
  ),
  "adaptive, one window": adaptivePool(7, 9, 1, 1),
  "adaptive, equal windows": adaptivePool(12, 20, 3, 4),
  "adaptive, windows that overlap": adaptivePool(7, 10, 3, 4),
  "adaptive, more windows than elements": adaptivePool(3, 2, 5, 7),
};

describe.each(Object.entries(means))("mean: %s", (_, { forward, backward, windows, divisor, size }) => {
  const x = numbers(PLANES * size, 1);
  const dy = numbers(PLANES * windows.length, 2);

  function run(x: Float32Array, dy: Float32Array) {
    const bench = new Bench();
    const at = { x: bench.floats(x), dy: bench.floats(dy) };
    const blank = (length: number) => bench.floats(new Float32Array(length + GUARD).fill(UNTOUCHED));
    const out = { y: blank(dy.length), dx: blank(x.length) };
    const [inputs, outputs] = [(x.length / PLANES) * 4, (dy.length / PLANES) * 4];
    inParts((begin, end) => {
      forward(bench, out.y + begin * outputs, at.x + begin * inputs, end - begin);
      backward(bench, out.dx + begin * inputs, at.dy + begin * outputs, end - begin);
    });
    const untouched = new Float32Array(GUARD).fill(UNTOUCHED);
    expect(bench.read(out.y + dy.length * 4, GUARD)).toEqual(untouched);
    expect(bench.read(out.dx + x.length * 4, GUARD)).toEqual(untouched);
    return { y: bench.read(out.y, dy.length), dx: bench.read(out.dx, x.length) };
  }

  it("agrees with the reference", () => {
    const { y, dx } = run(x, dy);
    for (const plane of planes) {
      expectClose(ofPlane(y, plane), avg.forward(ofPlane(x, plane), windows, divisor), 2e-6, "output");
      expectClose(ofPlane(dx, plane), avg.backward(ofPlane(dy, plane), windows, divisor, size), 2e-6, "input gradient");
    }
  });

  it("passes NaN on", () => {
    const { y, dx } = run(new Float32Array(x.length).fill(NaN), new Float32Array(dy.length).fill(NaN));
    const holds = windows.map(({ places }) => places.length > 0);
    expect([...ofPlane(y, 2)].map(Number.isNaN)).toEqual(holds);
    const covered = new Set(windows.flatMap(({ places }) => places));
    expect([...ofPlane(dx, 2)].map(Number.isNaN)).toEqual(Array.from({ length: size }, (_, i) => covered.has(i)));
  });
});
