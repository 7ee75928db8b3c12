import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  compileKernels,
  createMemory,
  instantiateKernels,
  MODULE_BYTES,
  type Kernels,
} from "../../../src/engine/kernels/kernels.ts";
import { nativeSets, withNative, type KernelChoice } from "../../../src/engine/kernels/native.ts";
import { elementwisePack } from "../../../src/engine/kernels/pack.generated.ts";
import { seedHalves } from "../../../src/engine/kernels/random.ts";
import { LANES, lanePlace, packKernels } from "../../../src/engine/pack/face.ts";
import type { Plan } from "../../../src/engine/plan/model.ts";
import { signatures } from "../../../scripts/kernel-signatures.ts";

// Each lane of a pack must have the bytes that the kernel of one model leaves. A test fills the
// memory of 16 models, lets the kernel of one model work on each, and the kernel of the pack on all
// at once, and compares all of memory. So it also sees a kernel that writes where it should not.

const REGION = 1 << 14;
const REGIONS = 10;
const SPACE = MODULE_BYTES + REGIONS * REGION;
const DRAWS = 6;

const module = compileKernels();
/** The control words come first, as the addresses of the lanes' own numbers hang on them. */
const place = lanePlace({ addresses: { control: MODULE_BYTES } } as Plan);
const region = (i: number) => MODULE_BYTES + (i + 1) * REGION;

class Draw {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return ((this.#state ^ (this.#state >>> 15)) >>> 0) / 2 ** 32;
  }
  from(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }
  /** Widths and batches: small ones, and those around the edges of tiles. */
  size(): number {
    return this.next() < 0.5 ? this.from(1, 9) : this.from(1, 64);
  }
}

const SPECIAL = [0, -0, 1e-40, -1e-40, 1.4e-45, Infinity, -Infinity, NaN, 3.4e38, 1.2e-38, 1, -1];

/** Numbers to fill regions with, and others among which there are special ones. */
const pools = [0, 0.05].map((share) => {
  const draw = new Draw(9);
  return Float32Array.from({ length: 2 ** 17 }, () =>
    draw.next() < share ? SPECIAL[draw.from(0, SPECIAL.length - 1)] : (draw.next() * 2 - 1) * 3,
  );
});

/** Fills a region. */
function fill({ f32 }: Kernels, draw: Draw, address: number, special: boolean): void {
  const first = draw.from(0, 2 ** 16);
  f32.set(pools[Number(special)].subarray(first, first + REGION / 4), address / 4);
}

interface Call {
  readonly name: keyof Kernels;
  readonly args: readonly number[];
  /** What lies in a region instead of floats. */
  readonly integers?: { readonly region: number; readonly most: number };
  /** The numbers that differ from lane to lane, by the index of the argument. */
  readonly lanes?: (lane: number, args: readonly number[]) => readonly number[];
}

/** Compares the kernel of a pack with the kernel of one model. */
function compare(call: Call, kernels: Kernels, seed: number): void {
  const draw = new Draw(seed);
  const begin = region(0);
  const words = (SPACE - begin) / 4;
  const model = Buffer.from(kernels.memory.buffer, begin, words * 4);
  const expected: Buffer[] = [];
  for (let lane = 0; lane < LANES; lane++) {
    for (let i = 0; i < REGIONS - 1; i++) fill(kernels, draw, region(i), seed % 3 === 0);
    const { integers } = call;
    if (integers)
      for (let j = 0; j < REGION / 4; j++) kernels.i32[region(integers.region) / 4 + j] = draw.from(-1, integers.most);
    kernels.pack_insert(begin * LANES + lane * 4, begin, words);
    const args = call.lanes?.(lane, call.args) ?? call.args;
    (kernels[call.name] as (...args: number[]) => void)(...args);
    expected.push(Buffer.from(model));
  }
  (packKernels(kernels, place)[call.name] as (...args: number[]) => void)(...call.args);
  for (let lane = 0; lane < LANES; lane++) {
    kernels.pack_extract(begin, begin * LANES + lane * 4, words);
    if (model.equals(expected[lane])) continue;
    const at = firstDifference(model, expected[lane]);
    if (at !== null) expect.fail(`${call.name}(${call.args.join(", ")}), draw ${seed}: lane ${lane} at byte ${at}`);
  }
}

/** A NaN is equal to any other. */
function firstDifference(a: Buffer, b: Buffer): number | null {
  for (let at = 0; at < a.length; at += 4) {
    const same = a.readInt32LE(at) === b.readInt32LE(at) || (isNaN(a.readFloatLE(at)) && isNaN(b.readFloatLE(at)));
    if (!same) return at;
  }
  return null;
}

const sets: (readonly [string, KernelChoice, string | undefined])[] = [
  ["wasm", "wasm", undefined],
  ...nativeSets().map((set) => [set, "native", set] as const),
];

describe.each(sets)("%s", (_name, choice, set) => {
  const wasm = instantiateKernels(module, createMemory(SPACE * LANES), "wasm");
  const kernels: Kernels = Object.assign(Object.create(wasm), withNative(wasm, wasm.u8, choice, set));
  const check = (make: (draw: Draw) => Call) => {
    for (let seed = 1; seed <= DRAWS; seed++) compare(make(new Draw(seed)), kernels, seed);
  };

  const all = globSync(["src/engine/kernels/*.kernel.as.ts", "src/engine/*/*/kernel.as.ts"])
    .flatMap((path) => signatures(readFileSync(path, "utf8")))
    .filter(({ name }) => name in elementwisePack(kernels));
  test.each(all.map((signature) => [signature.name, signature] as const))("%s", (name, { parameters }) => {
    check((draw) => {
      const count = draw.from(0, 150);
      const args = parameters.map(({ name: parameter, type }, i) => {
        if (type === "usize") return region(i);
        if (type === "f32" || type === "f64") return Math.fround(draw.next());
        if (parameter === "outputs" || parameter === "rows") return draw.from(1, 12);
        return type === "i32" && ["n", "count"].includes(parameter) ? count : draw.from(0, 1);
      });
      return { name: name as keyof Kernels, args };
    });
  });

  /** A product of matrices whose three regions hold it: k may be large where m and n are not. */
  const shape = (draw: Draw) => {
    const long = draw.next() < 0.2;
    return long ? [draw.from(1, 7), draw.from(1, 7), draw.from(250, 530)] : [draw.size(), draw.size(), draw.size()];
  };

  test("matmul", () =>
    check((draw) => {
      const [m, n, k] = shape(draw);
      const transposed = draw.from(0, 1);
      const bias = draw.from(0, 1) * region(3);
      // prettier-ignore
      const args = [region(0), region(1), region(2), m, n, k, n * 4, k * 4, 4, transposed ? k * 4 : n * 4, transposed, bias, region(5)];
      return { name: "matmul", args, lanes: scratchIn(12) };
    }));

  test("matmul_transposed", () =>
    check((draw) => {
      const [m, n, k] = shape(draw);
      const args = [region(0), region(1), region(2), m, n, k, n * 4, m * 4, n * 4, 0];
      return { name: "matmul_transposed", args, lanes: scratchIn(9) };
    }));

  test("column_sums", () =>
    check((draw) => {
      const [columns, , rows] = shape(draw);
      const begin = draw.from(0, columns - 1);
      return { name: "column_sums", args: [region(0), region(1), columns * 4, rows, begin, columns] };
    }));

  test("dropout", () =>
    check((draw) => {
      const seeds = Array.from({ length: LANES }, () => seedHalves(Math.floor(draw.next() * 2 ** 53)));
      for (const [lane, [low, high]] of seeds.entries()) {
        kernels.i32[place.seedsLow / 4 + lane] = low;
        kernels.i32[place.seedsHigh / 4 + lane] = high;
      }
      const p = [0, 0.1, 0.5, 0.999, 1][draw.from(0, 4)];
      const args = [region(0), region(1), 0, draw.from(1, 300), 0, 0, draw.from(0, 2 ** 31), draw.from(0, 9), p];
      const lanes = (lane: number) => args.map((arg, i) => (i === 4 || i === 5 ? seeds[lane][i - 4] : arg));
      return { name: "dropout", args, lanes };
    }));

  test("cross_entropy", () =>
    check((draw) => {
      const classes = draw.next() < 0.2 ? draw.from(250, 270) : draw.size();
      const rows = draw.from(1, Math.floor(REGION / 4 / classes));
      const scales = Float32Array.from({ length: LANES }, () => draw.next());
      kernels.f32.set(scales, place.scales / 4);
      const smoothing = draw.from(0, 1) * 0.3;
      const gradient = draw.from(0, 3) > 0 ? region(4) : 0;
      // prettier-ignore
      const args = [region(0), region(1), 0, region(2), region(3), gradient, rows, classes, smoothing, draw.from(-1, 1), 0];
      return {
        name: "cross_entropy",
        args,
        integers: { region: 1, most: classes },
        lanes: (lane) => [...args.slice(0, -1), scales[lane]],
      };
    }));

  test("class_divisor and the sum of terms give a double of each model", () => {
    for (let seed = 1; seed <= DRAWS; seed++) {
      const draw = new Draw(seed);
      const [rows, classes, count] = [draw.size(), draw.size(), [draw.size(), 4096, 4100][seed % 3]];
      const f64 = new Float64Array(kernels.memory.buffer);
      const sums: number[] = [];
      const divisors: number[] = [];
      const pack = (address: number, lane: number) => (address * LANES) / 4 + lane;
      const [targets, weights, terms] = [region(0), region(1), region(2)];
      for (let lane = 0; lane < LANES; lane++) {
        fill(kernels, draw, weights, seed % 4 === 0);
        for (let i = 0; i < count; i++) kernels.f32[terms / 4 + i] = draw.next() < 0.01 ? -0 : draw.next() * 9;
        for (let i = 0; i < rows; i++) kernels.i32[targets / 4 + i] = draw.from(-1, classes);
        kernels.pack_insert(pack(targets, lane) * 4, targets, rows);
        kernels.pack_insert(pack(weights, lane) * 4, weights, classes);
        kernels.pack_insert(pack(terms, lane) * 4, terms, count);
        sums.push(kernels.sum_f32(terms, count));
        divisors.push(kernels.class_divisor(targets, rows, weights, classes, seed % 2, 0));
        kernels.pack_extract(region(4), pack(terms, lane) * 4, count);
        expect(kernels.i32.slice(region(4) / 4, region(4) / 4 + count)).toEqual(
          kernels.i32.slice(terms / 4, terms / 4 + count),
        );
      }
      packKernels(kernels, place).class_divisor(targets, rows, weights, classes, seed % 2, 0);
      kernels.pack_sum_f32(place.sums, terms * LANES, count);
      expect([...f64.subarray(place.divisors / 8, place.divisors / 8 + LANES)]).toEqual(divisors);
      expect([...f64.subarray(place.sums / 8, place.sums / 8 + LANES)]).toEqual(sums);
    }
  });
});

/** The scratch of one model lies where no comparison looks: in the module's pages after SPACE. */
function scratchIn(index: number): (lane: number, args: readonly number[]) => readonly number[] {
  return (_lane, args) => args.map((arg, i) => (i === index ? SPACE : arg));
}
