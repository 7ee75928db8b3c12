import { globSync, readFileSync } from "node:fs";
import { signatures, type Signature } from "../scripts/kernel-signatures.ts";
import {
  compileKernels,
  createMemory,
  instantiateKernels,
  MODULE_BYTES,
  type Kernels,
} from "../src/engine/kernels/kernels.ts";
import { nativeKernels, type NativeCalls } from "../src/engine/kernels/native.generated.ts";
import { nativeSets, withNative } from "../src/engine/kernels/native.ts";
import { finish } from "./report.ts";

/*
 * Microseconds of a call of each kernel that has a native form, as WebAssembly and as native code
 * for the best set of instructions that this processor has. Names in BENCH_KERNELS, as in
 * "matmul,adam", choose some. Kernels over numbers get 16,384 of them, rows 64 of 256, products
 * 128 × 128 × 128. Without native kernels only WebAssembly is measured.
 */

const NUMBERS = 16_384;
/** Bytes for what an address points to, with room between one and the next. */
const REGION = 1 << 18;
const ROUNDS = 15;
/** How long the calls of one round take together, about. */
const ROUND_MS = 0.5;

/** Arguments by name, for all kernels. */
const SIZES: Readonly<Record<string, number>> = {
  n: NUMBERS,
  count: NUMBERS,
  samples: 32,
  hidden: 128,
  rows: 64,
  outputs: 256,
  classes: 16,
  planes: 16,
  begin: 0,
};

const product = {
  m: 128,
  n: 128,
  k: 128,
  transposed: 0,
  add: 0,
  cRow: 512,
  aRow: 512,
  aStep: 4,
  bRow: 512,
};
const norm = { rows: 64, n: 256, end: 256 };
const rowBytes = 4 * 64;
const attention = {
  queries: 64,
  keys: 64,
  size: 32,
  valueSize: 32,
  causal: 1,
  mask: 0,
  maskRow: 0,
  qRow: rowBytes,
  kRow: rowBytes,
  vRow: rowBytes,
  yRow: rowBytes,
  scale: 0.2,
};
const plane = {
  height: 28,
  width: 28,
  rows: 14,
  columns: 14,
  kernelRows: 2,
  kernelColumns: 2,
  strideRows: 2,
  strideColumns: 2,
  paddingRows: 0,
  paddingColumns: 0,
  dilationRows: 1,
  dilationColumns: 1,
};

/** Arguments of the kernels that the sizes above do not fit. */
const own: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  matmul: product,
  matmul_add: product,
  matmul_transposed: product,
  matmul_packed: product,
  matmul_gathered: product,
  pack_panels: product,
  // 16 models side by side, in rows of 16 numbers each.
  pack_matmul: { m: 32, n: 16, k: 16, cRow: 1024, aRow: 1024, aStep: 64, bStep: 1024, bColumn: 64 },
  pack_column_sums: { row: 1024, count: 32, columns: 16 },
  row_norm_forward: norm,
  row_norm_backward: norm,
  row_norm_gradient: norm,
  attention_forward: attention,
  attention_backward: attention,
  max_pool_forward: plane,
  max_pool_backward: { size: 784, count: 196 },
  conv_window: {
    channels: 8,
    height: 28,
    width: 28,
    top: 0,
    rows: 28,
    left: 0,
    columns: 28,
    stride: 1,
  },
  conv_channel_sums: { channels: 8, size: 784, begin: 0, end: 8, samples: 8 },
};

/** What these point to are integers. */
const INTEGERS = new Set(["lanes", "steps", "places", "target"]);

/** Sets something up for later calls, and takes no time. */
const NO_WORK = new Set(["attention_dropout"]);

const argumentsOf = ({ name, parameters }: Signature): number[] =>
  parameters.map(({ name: parameter, type }, i) => {
    const given = own[name]?.[parameter];
    if (given !== undefined) return given;
    if (type === "usize") return MODULE_BYTES + i * REGION;
    if (parameter in SIZES) return SIZES[parameter];
    if (parameter.endsWith("Stride")) return 4 * 4 * SIZES.hidden;
    return type === "f32" || type === "f64" ? 0.5 : 0;
  });

type Functions = Record<string, (...list: number[]) => unknown>;

export function benchKernels(): void {
  const set = nativeSets().at(0);
  const sources = globSync(["src/engine/kernels/*.kernel.as.ts", "src/engine/*/*/kernel.as.ts"]);
  const all = sources.sort().flatMap((path) => signatures(readFileSync(path, "utf8")));
  const most = Math.max(...all.map(({ parameters }) => parameters.length));
  const memory = createMemory(MODULE_BYTES + most * REGION);
  const wasm = instantiateKernels(compileKernels(), memory, "wasm");
  const withNativeForm = nativeKernels(wasm, {} as NativeCalls, new Float64Array(), 0, 0);
  const faces = { wasm, ...(set && { native: withNative(wasm, wasm.u8, "native", set) }) };
  const chosen = process.env.BENCH_KERNELS?.split(",");
  const rows: object[] = [];
  for (const signature of all) {
    const { name } = signature;
    if (!(name in withNativeForm) || NO_WORK.has(name) || chosen?.includes(name) === false) continue;
    const list = argumentsOf(signature);
    const us = microseconds(
      Object.values(faces).map((kernels) => () => (kernels as unknown as Functions)[name](...list)),
      () => fill(wasm, signature),
    );
    const [slow, fast] = us;
    rows.push({
      kernel: name,
      wasm_us: rounded(slow),
      ...(set && { native_us: rounded(fast), times: rounded(slow / fast) }),
    });
  }
  console.log(set === undefined ? "No native kernels are built here." : `Native kernels: ${set}`);
  finish("kernels", rows);
}

/** Numbers of ordinary size, between 0 and 1. */
const ORDINARY = Float32Array.from({ length: REGION / 4 }, (_, i) => 0.1 + 0.8 * ((i * 0.618) % 1));

/** Gives each address its numbers. Integers, such as places in planes, are 0. */
function fill({ f32, i32 }: Kernels, { parameters }: Signature): void {
  for (const [i, { name, type }] of parameters.entries()) {
    if (type !== "usize") continue;
    const from = (MODULE_BYTES + i * REGION) / 4;
    if (INTEGERS.has(name)) i32.fill(0, from, from + REGION / 4);
    else f32.set(ORDINARY, from);
  }
}

/**
 * The microseconds of each call in its fastest round. Rounds are interleaved and short, so that on
 * a busy machine some are not interrupted. Each begins with the same numbers.
 */
function microseconds(calls: readonly (() => unknown)[], restore: () => void): number[] {
  const repeats = calls.map((call) => {
    restore();
    for (let i = 0; i < 10; i++) call();
    return Math.max(1, Math.min(1000, Math.round(ROUND_MS / elapsed(call, 10))));
  });
  const times = calls.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, call] of calls.entries()) {
      restore();
      times[i].push(elapsed(call, repeats[i]) * 1000);
    }
  return times.map((list) => Math.min(...list));
}

/** Milliseconds of a call, on average. */
function elapsed(call: () => unknown, repeats: number): number {
  const began = performance.now();
  for (let i = 0; i < repeats; i++) call();
  return (performance.now() - began) / repeats;
}

const rounded = (value: number) => Number(value.toPrecision(3));
