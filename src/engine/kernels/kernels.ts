import { readFileSync } from "node:fs";
import type { KernelExports } from "./exports.generated.ts";
import { chosenKernels, nativeSets, withNative, type KernelChoice } from "./native.ts";

/**
 * The typed interface of the kernel module: its functions, and typed views of the memory on which
 * they work. Addresses are bytes; `f32[address >>> 2]` is the element there.
 */
export interface Kernels extends KernelExports {
  readonly memory: WebAssembly.Memory;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
}

export const PAGE_BYTES = 65536;

/**
 * The first bytes of a memory belong to the module itself (its constants); a memory map starts
 * after them.
 */
export const MODULE_BYTES = 2 * PAGE_BYTES;

/** Raised whenever any bit of any result may change. Stored in job, checkpoint and result. */
export const ARITHMETIC_VERSION = 3;

/** Compiles the kernel module; once per process, the module is then posted to the threads. */
export function compileKernels(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL("./kernels.wasm", import.meta.url)));
}

/** A zeroed shared memory of at least `bytes` bytes, which is also its maximum: it never grows. */
export function createMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/**
 * Zeroes the first `used` bytes of a memory, but not the module's own: each instance writes them
 * again. V8 fills shared memory number by number, so it takes the largest numbers.
 */
export function zeroMemory({ buffer }: WebAssembly.Memory, used: number): void {
  new Float64Array(buffer).fill(0, MODULE_BYTES / 8, Math.ceil(used / 8));
}

/**
 * The kernels on a memory: WebAssembly's, and native ones as `choice` says. Which kernels compute a
 * number never changes it.
 */
export function instantiateKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  choice: KernelChoice = chosenKernels(),
): Kernels {
  const wasm = new WebAssembly.Instance(module, { env: { memory } }).exports as KernelExports;
  const u8 = new Uint8Array(memory.buffer);
  const face = Object.assign(Object.create(null), wasm, withNative(wasm, u8, choice, nativeSets()[0]), {
    memory,
    f32: new Float32Array(memory.buffer),
    f64: new Float64Array(memory.buffer),
    i32: new Int32Array(memory.buffer),
    u8,
  }) as Kernels;
  // An object with so many properties is a hash table to V8, unless it is a prototype. Kernels are
  // called so often that the look-ups took a tenth of a small job's time.
  return Object.create(face) as Kernels;
}

let functions: Kernels | null = null;

/**
 * The kernels for their functions alone, without a job. There is one in each isolate, since every
 * memory takes some 10 GB of addresses until it is collected.
 */
export function functionKernels(): Kernels {
  functions ??= instantiateKernels(compileKernels(), createMemory(MODULE_BYTES));
  return functions;
}

/**
 * Refuses a host whose relaxed multiply-add rounds twice, because its results would differ from
 * those of all other hosts.
 * @throws Error with what to do.
 */
export function assertFused(kernels: Kernels): void {
  // (1 + 2^-12)^2 − (1 + 2^-11) is 2^-24 if the product is not rounded, and 0 if it is.
  const a = Math.fround(1 + 2 ** -12);
  if (kernels.multiply_add(a, a, -Math.fround(1 + 2 ** -11)) !== 2 ** -24) {
    throw new Error(
      "This processor (or its WebAssembly engine) has no fused multiply-add, so training here would not give the bytes it gives elsewhere. Use an x86-64 processor with FMA (since 2013) or any arm64.",
    );
  }
}

let compiled: WebAssembly.Module | null = null;

/**
 * The kernel module, compiled and probed once a process.
 * @throws Error on a host whose arithmetic differs
 */
export function kernelModule(): WebAssembly.Module {
  if (compiled === null) {
    const module = compileKernels();
    functions ??= instantiateKernels(module, createMemory(MODULE_BYTES));
    assertFused(functions);
    compiled = module;
  }
  return compiled;
}
