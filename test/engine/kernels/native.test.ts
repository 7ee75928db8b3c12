import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compileKernels, createMemory, instantiateKernels, MODULE_BYTES } from "../../../src/engine/kernels/kernels.ts";
import { nativeSets, withNative } from "../../../src/engine/kernels/native.ts";
import { signatures, type Signature } from "../../../scripts/native-kernels.ts";

// Every native kernel must leave the bytes in memory that its WebAssembly twin leaves. Each test
// fills two memories alike, calls the two with the same arguments, and compares all of memory: so
// it also sees a kernel that writes where it should not.
//
// Arguments are drawn from a kernel's signature: an address gets a region of its own at a random
// alignment, a count a random length. Kernels for which that makes no sense have arguments of their
// own.

const REGION = 1 << 13;
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
    return (this.#state ^ (this.#state >>> 15)) / 2 ** 32 < 0
      ? 0
      : ((this.#state ^ (this.#state >>> 15)) >>> 0) / 2 ** 32;
  }
  upTo(most: number): number {
    return Math.floor(this.next() * (most + 1));
  }
  of<T>(list: readonly T[]): T {
    return list[this.upTo(list.length - 1)];
  }
}

const SPECIAL = [0, -0, 1e-40, -1e-40, 1.4e-45, Infinity, -Infinity, NaN, 3.4e38, -3.4e38, 1.2e-38, 1, -1];

/** Memory full of numbers: of every size, and if `special` also those at the edges of float32. */
function fill(f32: Float32Array, draw: Draw, special: boolean): void {
  for (let i = MODULE_BYTES / 4; i < f32.length; i++) {
    const scale = draw.of([1, 1, 1, 1e-3, 30]);
    f32[i] = special && draw.next() < 0.05 ? draw.of(SPECIAL) : (draw.next() * 2 - 1) * scale;
  }
}

/** A kernel's arguments, in order. */
type Arguments = (draw: Draw, signature: Signature, region: (i: number) => number) => Record<string, number>;

const own: Record<string, Arguments> = {};

/** Addresses by regions, counts by chance, flags and numbers likewise. */
function drawn(draw: Draw, { name, parameters }: Signature, region: (i: number) => number): number[] {
  const n = draw.of([0, 1, 3, 4, 15, 16, 17, 31, draw.upTo(700)]);
  const hidden = draw.of([1, 3, 4, 8, 16, 19, 33]);
  const given = own[name]?.(draw, all.get(name)!, region) ?? {};
  return parameters.map(({ name: parameter, type }, i) => {
    if (parameter in given) return given[parameter];
    if (type === "usize")
      return /buffer|average|maximum|gradient|cells|dCells/i.test(parameter) && draw.next() < 0.3 ? 0 : region(i);
    if (parameter === "n" || parameter === "count") return n;
    if (parameter === "samples" || parameter === "rows") return draw.upTo(3);
    if (parameter === "hidden" || parameter === "outputs") return hidden;
    if (/Stride$|Row$/.test(parameter)) return 8 * 4 * hidden + 4 * draw.upTo(5);
    if (type === "f32" || type === "f64") return draw.of([0, 1, -1, draw.next(), draw.next(), 1e-8]);
    return draw.upTo(1);
  });
}

/** The words of memory, with one bit pattern for all NaN. */
function words(memory: WebAssembly.Memory): Int32Array {
  const found = new Int32Array(memory.buffer).slice();
  for (let i = 0; i < found.length; i++) if ((found[i] & 0x7fffffff) > 0x7f800000) found[i] = 0x7fc00000;
  return found;
}

const runs = nativeSets().flatMap((set) => {
  const names = Object.keys(
    withNative(instantiateKernels(module, createMemory(MODULE_BYTES), "wasm"), new Uint8Array(8), "native", set),
  );
  return names.map((name) => [set, name] as const);
});

test.skipIf(runs.length === 0).each(runs)("%s: %s has WebAssembly's bits", (set, name) => {
  const signature = all.get(name)!;
  const bytes = MODULE_BYTES + (signature.parameters.length + 1) * REGION;
  const memories = [createMemory(bytes), createMemory(bytes)];
  const wasm = memories.map((memory) => instantiateKernels(module, memory, "wasm"));
  const native = withNative(wasm[1], wasm[1].u8, "native", set) as unknown as Record<
    string,
    (...list: number[]) => unknown
  >;
  const twin = wasm[0] as unknown as Record<string, (...list: number[]) => unknown>;
  for (let seed = 0; seed < 24; seed++) {
    const draw = new Draw(seed + 1);
    const offset = 4 * draw.upTo(15);
    fill(wasm[0].f32, draw, seed % 2 === 1);
    wasm[1].u8.set(wasm[0].u8);
    const list = drawn(draw, signature, (i) => MODULE_BYTES + i * REGION + offset + 4 * draw.upTo(3));
    const told = `${name}(${signature.parameters.map((parameter, i) => `${parameter.name} ${list[i]}`).join(", ")})`;
    const expected = twin[name](...list);
    expect(native[name](...list), told).toBe(expected);
    const [a, b] = memories.map(words);
    const at = a.findIndex((word, i) => word !== b[i]);
    expect(at < 0 ? null : { at: at * 4, wasm: wasm[0].f32[at], native: wasm[1].f32[at] }, told).toBe(null);
  }
});
