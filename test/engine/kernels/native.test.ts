import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  compileKernels,
  createMemory,
  instantiateKernels,
  MODULE_BYTES,
  type Kernels,
} from "../../../src/engine/kernels/kernels.ts";
import { nativeSets, withNative } from "../../../src/engine/kernels/native.ts";
import { signatures, type Signature } from "../../../scripts/kernel-signatures.ts";

// Every native kernel must leave the bytes in memory that its WebAssembly twin leaves. Each test
// fills two memories alike, calls the two with the same arguments, and compares all of memory: so
// it also sees a kernel that writes where it should not.
//
// Arguments are drawn from a kernel's signature: an address gets a region of its own at a random
// alignment, a count a random length. Kernels for which that makes no sense have arguments of their
// own.

/** Bytes for what an address points to: few, or many for kernels with arguments of their own. */
const REGION = 1 << 13,
  LARGE_REGION = 1 << 17;
const module = compileKernels();
const all = new Map<string, Signature>(
  globSync(["src/engine/kernels/*.kernel.as.ts", "src/engine/*/*/kernel.as.ts"])
    .flatMap((path) => signatures(readFileSync(path, "utf8")))
    .map((signature) => [signature.name, signature]),
);

class Draw {
  #state: number;
  constructor(seed: number) {
    this.#state = (seed * 2654435761) >>> 0;
  }
  /** 0 ≤ x < 1 */
  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return ((this.#state ^ (this.#state >>> 15)) >>> 0) / 2 ** 32;
  }
  upTo(most: number): number {
    return Math.floor(this.next() * (most + 1));
  }
  of<T>(list: readonly T[]): T {
    return list[this.upTo(list.length - 1)];
  }
}

const SPECIAL = [0, -0, 1e-40, -1e-40, 1.4e-45, Infinity, -Infinity, NaN, 3.4e38, -3.4e38, 1.2e-38, 1, -1];

/** Numbers of every size, and if `special` also those at the edges of float32. */
function pool(special: boolean): Float32Array {
  const draw = new Draw(special ? 1 : 2);
  return Float32Array.from({ length: LARGE_REGION }, () => {
    if (special && draw.next() < 0.03) return draw.of(SPECIAL);
    return (draw.next() * 2 - 1) * draw.of([1, 1, 1, 1e-3, 30]);
  });
}

const pools = [pool(false), pool(true)];

function fill(f32: Float32Array, draw: Draw, numbers: Float32Array): void {
  const piece = REGION / 4;
  for (let at = MODULE_BYTES / 4; at < f32.length; at += piece) {
    const from = draw.upTo(numbers.length - piece);
    f32.set(numbers.subarray(from, from + Math.min(piece, f32.length - at)), at);
  }
}

interface Call {
  readonly draw: Draw;
  /** Where the argument of a name points to, if it is an address. */
  readonly at: (name: string) => number;
  readonly i32: Int32Array;
}

/** Arguments by name; those that are not given are drawn. It may also write what they point to. */
type Arguments = (call: Call) => Record<string, number>;

/** Shapes that meet every edge of tiles, panels and blocks, and rows that lie apart. */
function product({ draw }: Call): Record<string, number> {
  const m = draw.of([1, 2, 5, 6, 7, 11, 12, 13, 24, 41, draw.upTo(60)]);
  const n = draw.of([1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, draw.upTo(70)]);
  const k = draw.of([1, 2, 3, 4, 5, 64, 255, 256, 257, draw.upTo(40), draw.upTo(300)]);
  const apart = () => 4 * draw.upTo(3);
  const cRow = 4 * n + apart();
  return { m, n, k, cRow, transposed: 0, aRow: 4 * k + apart(), aStep: 4, bRow: 4 * n + apart() };
}

function anyProduct(call: Call): Record<string, number> {
  const shape = product(call);
  const { m, k } = shape;
  const transposed = call.draw.upTo(1),
    bRow = transposed === 1 ? 4 * k + 4 * call.draw.upTo(3) : shape.bRow;
  if (call.draw.next() < 0.7) return { ...shape, transposed, bRow };
  return { ...shape, transposed, bRow, aRow: 4, aStep: 4 * m + 4 * call.draw.upTo(3) };
}

/** Offsets of columns and terms: mostly side by side, as those of a convolution are. */
function gathered(call: Call): Record<string, number> {
  const { draw, at, i32 } = call;
  const shape = product(call);
  let next = 0;
  for (let j = 0; j < shape.n; j++, next += draw.next() < 0.8 ? 4 : 4 * draw.upTo(9)) i32[at("lanes") / 4 + j] = next;
  for (let p = 0; p < shape.k; p++) i32[at("steps") / 4 + p] = 4 * draw.upTo(500);
  return shape;
}

function norm({ draw }: Call): Record<string, number> {
  const n = draw.of([1, 3, 7, 8, 9, 16, 20, 32, 64, 65, 100, draw.upTo(130)]);
  const begin = draw.upTo(n);
  return { n, rows: draw.of([0, 1, 3, 255, 256, 257]), begin, end: begin + draw.upTo(n - begin) };
}

/** Heads of every size, side by side in rows or not, with masks that hide most keys or few. */
function attention({ draw, at, i32 }: Call): Record<string, number> {
  const keys = draw.of([1, 5, 16, 17, 63, 64, 65, 100, 130]);
  const causal = draw.upTo(1),
    queries = causal === 1 ? keys : draw.of([1, 5, 64, 65, 90]);
  const size = draw.of([1, 4, 7, 16, 32, 33]),
    valueSize = draw.of([1, 4, 7, 16, 32, 33]);
  const row = () => 4 * 33 + 4 * draw.upTo(40);
  const seen = draw.of([0.1, 0.5, 1]);
  for (let i = 0; i < queries * keys; i++) i32[at("mask") / 4 + i] = Number(draw.next() < seen);
  const mask = draw.upTo(1) * at("mask");
  const wanted = Object.fromEntries(["dq", "dk", "dv"].map((name) => [name, draw.next() < 0.9 ? at(name) : 0]));
  const rows = { qRow: row(), kRow: row(), vRow: row(), yRow: row(), maskRow: keys * 4 };
  return { keys, queries, size, valueSize, causal, mask, scale: draw.next(), ...wanted, ...rows };
}

/** Windows of every stride, with padding and holes; some reach over the whole plane. */
function pool2d({ draw }: Call): Record<string, number> {
  const axis = (most: number) => {
    const size = draw.of([1, 2, 5, 14, 28, 33, draw.upTo(most - 1) + 1]),
      stride = draw.of([1, 2, 2, 3, 5]),
      dilation = draw.of([1, 1, 2]);
    const kernel = draw.of([1, 2, 2, 3, 5, 9].filter((length) => (length - 1) * dilation < size));
    const padding = draw.upTo(kernel >> 1);
    const count = Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
    return { size, stride, dilation, kernel, padding, count };
  };
  const rows = axis(20),
    columns = axis(70);
  return {
    planes: draw.upTo(3),
    height: rows.size,
    width: columns.size,
    rows: rows.count,
    columns: columns.count,
    kernelRows: rows.kernel,
    kernelColumns: columns.kernel,
    strideRows: rows.stride,
    strideColumns: columns.stride,
    paddingRows: rows.padding,
    paddingColumns: columns.padding,
    dilationRows: rows.dilation,
    dilationColumns: columns.dilation,
  };
}

/** Places of which some meet, and some are missing. */
function placesOfMaxima({ draw, at, i32 }: Call): Record<string, number> {
  const planes = draw.upTo(3),
    size = draw.upTo(100) + 1,
    count = draw.upTo(60);
  for (let i = 0; i < planes * count; i++) i32[at("places") / 4 + i] = draw.upTo(size) - 1;
  return { planes, size, count };
}

/** Windows that begin before a plane, end after it, or lie outside. */
function convolutionWindow({ draw }: Call): Record<string, number> {
  const height = draw.upTo(20) + 1,
    width = draw.of([1, 7, 16, 28, 33, draw.upTo(50) + 1]);
  const stride = draw.of([1, 1, 2, 2, 3]);
  const columns = draw.of([1, 5, 14, 16, 17, 32, 33, 40]);
  const top = draw.upTo(8) - 4,
    left = draw.upTo(8) - 4;
  return { channels: draw.upTo(3), height, width, top, rows: draw.upTo(20), left, columns, stride };
}

function channelSums({ draw }: Call): Record<string, number> {
  const channels = draw.upTo(4) + 1,
    begin = draw.upTo(channels);
  const [size, samples] = draw.of([
    [draw.upTo(40), draw.upTo(9)],
    [draw.of([784, 1000]), draw.upTo(6)],
    [4100, 1],
    [1025, 4],
  ]);
  return { channels, begin, end: begin + draw.upTo(channels - begin), size, samples };
}

const own: Record<string, Arguments> = {
  max_pool_forward: pool2d,
  max_pool_backward: placesOfMaxima,
  conv_window: convolutionWindow,
  conv_channel_sums: channelSums,
  matmul: anyProduct,
  matmul_add: anyProduct,
  matmul_transposed: (call) => {
    const shape = product(call);
    return { ...shape, m: shape.m * call.draw.of([1, 1, 4]), aRow: 4 * shape.m * 4 };
  },
  matmul_gathered: gathered,
  row_norm_forward: norm,
  row_norm_backward: norm,
  row_norm_gradient: norm,
  attention_forward: attention,
  attention_backward: attention,
};

const MAY_BE_ABSENT = /^(buffer|average|maximum|gradient|cells|dCells|bias)$/;

/** Addresses by regions, counts by chance, flags and numbers likewise. */
function drawn({ name, parameters }: Signature, call: Call): number[] {
  const { draw } = call;
  const n = draw.of([0, 1, 3, 4, 15, 16, 17, 31, draw.upTo(700)]);
  const hidden = draw.of([1, 3, 4, 8, 16, 19, 33]);
  const given = own[name]?.(call) ?? {};
  return parameters.map(({ name: parameter, type }) => {
    if (parameter in given) return given[parameter];
    if (type === "usize") return MAY_BE_ABSENT.test(parameter) && draw.next() < 0.3 ? 0 : call.at(parameter);
    if (parameter === "n" || parameter === "count") return n;
    if (parameter === "samples" || parameter === "rows") return draw.upTo(3);
    if (parameter === "hidden" || parameter === "outputs") return hidden;
    if (/Stride$|Row$/.test(parameter)) return 8 * 4 * hidden + 4 * draw.upTo(5);
    if (type === "f32" || type === "f64") return draw.of([0, 1, -1, draw.next(), draw.next(), 1e-8]);
    return draw.upTo(1);
  });
}

type Functions = Record<string, (...list: number[]) => unknown>;

/** The first word in which two memories differ; all NaN are alike. */
function difference(memories: readonly WebAssembly.Memory[]) {
  const [a, b] = memories.map(({ buffer }) => new Int32Array(buffer));
  const isNaN = (word: number) => (word & 0x7fffffff) > 0x7f800000;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i] || (isNaN(a[i]) && isNaN(b[i]))) continue;
    const [wasm, native] = memories.map(({ buffer }) => new Float32Array(buffer, i * 4, 1)[0]);
    return { at: i * 4, wasm, native };
  }
  return null;
}

/** Packed panels have a form of their own: these are tested together. */
const IN_PANELS = new Set(["pack_panels", "matmul_packed"]);

const runs = nativeSets().flatMap((set) => {
  const names = Object.keys(
    withNative(instantiateKernels(module, createMemory(MODULE_BYTES), "wasm"), new Uint8Array(8), "native", set),
  );
  return names.filter((name) => !IN_PANELS.has(name)).map((name) => [set, name] as const);
});

test.skipIf(runs.length === 0)("the kernels that take most time are native", () => {
  expect(runs.map(([, name]) => name)).toEqual(
    expect.arrayContaining(["adam", "gelu_forward", "matmul", "attention_forward"]),
  );
});

test.skipIf(runs.length === 0).each(runs)("%s: %s has WebAssembly's bits", (set, name) => {
  const signature = all.get(name)!;
  const region = name in own ? LARGE_REGION : REGION;
  const bytes = MODULE_BYTES + (signature.parameters.length + 1) * region;
  const memories = [createMemory(bytes), createMemory(bytes)];
  const wasm = memories.map((memory) => instantiateKernels(module, memory, "wasm"));
  const native = withNative(wasm[1], wasm[1].u8, "native", set) as unknown as Functions;
  const twin = wasm[0] as unknown as Functions;
  for (let seed = 0; seed < 24; seed++) {
    const draw = new Draw(seed + 1);
    fill(wasm[0].f32, draw, pools[seed % 2]);
    const places = new Map(
      signature.parameters.map((parameter, i) => [parameter.name, MODULE_BYTES + i * region + 4 * draw.upTo(18)]),
    );
    const list = drawn(signature, { draw, at: (parameter) => places.get(parameter)!, i32: wasm[0].i32 });
    wasm[1].u8.set(wasm[0].u8);
    const told = `${name}(${signature.parameters.map((parameter, i) => `${parameter.name} ${list[i]}`).join(", ")})`;
    const dropped = draw.of([0, 0.4]);
    for (const { attention_dropout: drop } of [twin, native]) drop(dropped, seed, 3, 2, 7, 9);
    const expected = twin[name](...list);
    expect(native[name](...list), told).toBe(expected);
    // What is left in scratch means nothing.
    for (const scratch of ["panel", "scratch"].filter((parameter) => places.has(parameter)))
      for (const { u8 } of wasm) u8.fill(0, places.get(scratch)!, places.get(scratch)! + region);
    expect(difference(memories), told).toBe(null);
  }
});

test.skipIf(runs.length === 0).each(nativeSets())("%s: products of packed panels have WebAssembly's bits", (set) => {
  const bytes = MODULE_BYTES + 5 * LARGE_REGION;
  const memories = [createMemory(bytes), createMemory(bytes)];
  const wasm = memories.map((memory) => instantiateKernels(module, memory, "wasm"));
  const [c, a, b, bias, panels] = [0, 1, 2, 3, 4].map((i) => MODULE_BYTES + i * LARGE_REGION);
  const native: Kernels = Object.assign(Object.create(wasm[1]), withNative(wasm[1], wasm[1].u8, "native", set));
  for (let seed = 0; seed < 60; seed++) {
    const draw = new Draw(seed + 1);
    for (const { f32 } of wasm) fill(f32, new Draw(seed + 1), pools[seed % 2]);
    const { m, n, k, cRow, aRow, aStep, bRow, transposed } = anyProduct({ draw, at: () => 0, i32: wasm[0].i32 });
    const length = k * Math.ceil(n / 4) * 4;
    for (const { pack_panels, matmul_packed, f32 } of [wasm[0], native]) {
      pack_panels(panels, b, n, k, bRow, transposed);
      matmul_packed(c, a, panels, m, n, k, cRow, aRow, aStep, seed % 3 === 0 ? 0 : bias);
      f32.fill(0, panels / 4, panels / 4 + length);
    }
    expect(difference(memories), `${m} × ${n} × ${k}`).toBe(null);
  }
});
