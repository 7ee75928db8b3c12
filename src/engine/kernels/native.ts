import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { KernelExports } from "./exports.generated.ts";
import { NATIVE_FACE, nativeKernels, type NativeCalls } from "./native.generated.ts";

/*
 * The native kernels: C for the processor's wide vectors, with the bits of the WebAssembly ones.
 * They exist where `npm ci` found a C compiler. They work on the same memory, with the same
 * arguments.
 */

/**
 * `auto`: native kernels for calls that are long enough, where there are any; `native`: for every
 * call of a kernel that has a native form; `wasm`: never.
 */
export type KernelChoice = "auto" | "native" | "wasm";

/** The addon, native/addon.c. */
interface Addon {
  readonly face: string;
  readonly sets: readonly string[];
  addressOf(bytes: Uint8Array): number;
  kernels(block: Float64Array, set: string): NativeCalls;
}

const ADDON = fileURLToPath(new URL("../../../native/build/rappel.node", import.meta.url));

/**
 * With `auto`, a call on fewer elements than this stays with WebAssembly, which begins sooner.
 */
const LEAST = 512;

let loaded: Addon | null | undefined;

/** Null where none was built, or one from other sources. */
function addon(): Addon | null {
  if (loaded === undefined) {
    try {
      const found = createRequire(import.meta.url)(ADDON) as Addon;
      loaded = found.face === NATIVE_FACE ? found : null;
    } catch {
      loaded = null;
    }
  }
  return loaded;
}

/** What RAPPEL_KERNELS says. It is read here because threads share the environment. */
export function chosenKernels(): KernelChoice {
  const { RAPPEL_KERNELS: choice = "auto" } = process.env;
  if (choice !== "auto" && choice !== "native" && choice !== "wasm")
    throw new Error(`RAPPEL_KERNELS is ${JSON.stringify(choice)} and must be auto, native or wasm.`);
  if (choice === "native" && nativeSets().length === 0)
    throw new Error('RAPPEL_KERNELS is "native" and no native kernels are built here: use auto or wasm.');
  return choice;
}

/**
 * The sets of instructions that this processor has and that native kernels exist for, the best
 * first.
 */
export function nativeSets(): readonly string[] {
  return addon()?.sets ?? [];
}

/** Which kernels the calls that matter get. */
export function kernelsInUse(choice: KernelChoice = chosenKernels()): "native" | "wasm" {
  return choice === "wasm" || nativeSets().length === 0 ? "wasm" : "native";
}

/** Each set's functions, which belong to this thread, and the block of their arguments. */
const bound = new Map<string, { calls: NativeCalls; block: Float64Array }>();

function callsOf(set: string): { calls: NativeCalls; block: Float64Array } {
  let found = bound.get(set);
  if (found === undefined) {
    // On a buffer of its own, which does not move.
    const block = new Float64Array(new ArrayBuffer(64 * 8));
    found = { calls: addon()!.kernels(block, set), block };
    bound.set(set, found);
  }
  return found;
}

/** The native kernels on a memory; none if `set` is undefined. */
export function withNative(
  wasm: KernelExports,
  memory: Uint8Array,
  choice: KernelChoice,
  set: string | undefined,
): Partial<KernelExports> {
  if (choice === "wasm" || set === undefined) return {};
  const { calls, block } = callsOf(set);
  return nativeKernels(wasm, calls, block, addon()!.addressOf(memory), choice === "native" ? 0 : LEAST);
}
