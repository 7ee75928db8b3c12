import asc from "assemblyscript/asc";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { normal } from "../../../src/engine/layers/gelu/reference.ts";
import { Bench } from "../../support/kernels.ts";

/*
 * The float32 functions of the kernels are inlined into them and not exported, so this test
 * compiles a module of its own from math.as.ts. Each function is held to double precision over
 * floats of every magnitude, in ulp: units in the last place of the float32 nearest to the true
 * value.
 */

type Over = (x: number, y: number, n: number) => void;

/** Every 1999th bit pattern of a float: a million arguments of each sign. */
const STRIDE = 1999;
const COUNT = 1 << 16;
const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
const floats = new Float32Array(memory.buffer);
const bits = new Int32Array(memory.buffer);
const X = 2 * 65536;
const Y = X + COUNT * 4;
let functions: Record<string, Over>;

beforeAll(async () => {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const compiled: { wasm?: Uint8Array } = {};
  const options = "-O3 --runtime stub --noAssert --importMemory --sharedMemory --initialMemory 2 --maximumMemory 65536";
  const features = ["simd", "threads", "relaxed-simd"].flatMap((feature) => ["--enable", feature]);
  const { error } = await asc.main(
    ["test/engine/kernels/math.as.ts", "--baseDir", root, "-o", "math.wasm", ...options.split(" "), ...features],
    { writeFile: (_name, contents) => void (compiled.wasm = contents as Uint8Array) },
  );
  if (error) throw error;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(compiled.wasm!), { env: { memory } });
  functions = instance.exports as unknown as Record<string, Over>;
});

/** The function's values at `x`, computed four at a time. */
function apply(name: string, x: readonly number[]): number[] {
  floats.set(x, X >> 2);
  functions[name](X, Y, x.length);
  return Array.from(floats.subarray(Y >> 2, (Y >> 2) + x.length));
}

/**
 * The largest error in ulp over float32 numbers of low..high, evenly drawn from all their bit
 * patterns.
 */
function largestError(
  name: string,
  truth: (x: number) => number,
  low: number,
  high: number,
): { ulp: number; at: number } {
  const worst = { ulp: 0, at: NaN };
  for (const sign of [0, 0x80000000]) {
    let pattern = sign === 0 ? 0 : 1;
    while (pattern < 0x7f800000) {
      let n = 0;
      for (; n < COUNT && pattern < 0x7f800000; pattern += STRIDE) {
        bits[(X >> 2) + n] = pattern | sign;
        const value = floats[(X >> 2) + n];
        if (value >= low && value <= high) n++;
      }
      functions[name](X, Y, n);
      for (let i = 0; i < n; i++) {
        const x = floats[(X >> 2) + i];
        const ulp = errorInUlp(floats[(Y >> 2) + i], truth(x));
        if (!(ulp <= worst.ulp)) Object.assign(worst, { ulp, at: x });
      }
    }
  }
  return worst;
}

function errorInUlp(actual: number, expected: number): number {
  if (Object.is(Math.fround(expected), actual) || (actual === 0 && expected === 0)) return 0;
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(expected))));
  return Math.abs(actual - expected) / 2 ** (exponent - 23);
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const everywhere = [-3.4e38, 3.4e38] as const;

describe("float32 functions", () => {
  it.each([
    ["exp", Math.exp, ...everywhere, 1.1],
    ["expm1", Math.expm1, -3.4e38, 0, 1],
    ["log", Math.log, 0, 3.4e38, 1],
    ["log1p", Math.log1p, 0, 1, 1.1],
    ["sinQuarter", (x: number) => Math.sin((Math.PI / 2) * x), -0.5, 0.5, 2],
    ["cosQuarter", (x: number) => Math.cos((Math.PI / 2) * x), -0.5, 0.5, 2],
    ["tanh", Math.tanh, ...everywhere, 2.5],
    ["sigmoid", sigmoid, ...everywhere, 2.3],
    ["softplus", softplus, ...everywhere, 1.8],
    ["gaussian", (x: number) => Math.exp((-x * x) / 2), ...everywhere, 1.5],
    ["normal", normal, ...everywhere, 5.6],
  ] as const)("%s is as exact as it says", (name, truth, low, high, allowed) => {
    const { ulp, at } = largestError(name, truth, low, high);
    expect(ulp, `at ${at}`).toBeLessThanOrEqual(allowed);
  });

  it.each([
    ["exp", [0, -0, -Infinity, Infinity, 89, -105, -103], [1, 1, 0, Infinity, Infinity, 0, 2 ** -149]],
    ["expm1", [0, -Infinity, -100], [0, -1, -1]],
    ["log", [0, -0, 1, Infinity, -1, 2 ** -149], [-Infinity, -Infinity, 0, Infinity, NaN, Math.log(2 ** -149)]],
    ["log1p", [0, 2 ** -149], [0, 2 ** -149]],
    ["tanh", [0, -0, 100, -100, Infinity, -Infinity], [0, -0, 1, -1, 1, -1]],
    ["sigmoid", [0, 100, -100, Infinity, -Infinity], [0.5, 1, Math.exp(-100), 1, 0]],
    ["softplus", [100, -100, Infinity, -Infinity], [100, Math.exp(-100), Infinity, 0]],
    ["gaussian", [0, 100, 3e38, -Infinity], [1, 0, 0, 0]],
    ["normal", [100, -100, Infinity, -Infinity], [1, 0, 1, 0]],
  ])("%s keeps its limits and hands NaN on", (name, x, expected) => {
    const actual = apply(name, [...x, NaN, NaN]);
    expect(actual).toEqual([...expected, NaN, NaN].map(Math.fround));
  });
});

describe("double-precision functions", () => {
  const { kernels } = new Bench();
  const close = (actual: number, expected: number) => expect(Math.abs(actual / expected - 1)).toBeLessThan(4e-16);

  it("agree with Math's, which may differ in the last bit", () => {
    for (let i = 1; i < 2000; i++) {
      const x = i / 37;
      close(kernels.exp(x - 20), Math.exp(x - 20));
      close(kernels.log(x + 1), Math.log(x + 1));
      close(kernels.pow(1 - 1 / (i + 9), i), Math.pow(1 - 1 / (i + 9), i));
      expect(kernels.cos(x)).toBeCloseTo(Math.cos(x), 15);
    }
  });

  it("give these bits on every host", () => {
    expect([kernels.pow(0.999, 1234), kernels.exp(0.1), kernels.log(10), kernels.cos(1)]).toEqual([
      0.29094605365002846, 1.1051709180756477, 2.302585092994046, 0.5403023058681398,
    ]);
  });
});
