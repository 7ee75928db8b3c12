import { readFileSync } from "node:fs";
import { expect } from "vitest";

/** Reference numbers of PyTorch, optax and Keras; test/golden/README.md describes format and tolerances. */
export interface GoldenTensor {
  readonly dtype: "float32" | "float64" | "int32";
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** The differences between the library's own float32 and float64 results. */
export interface Spread {
  readonly mixed: number;
}

const folder = new URL("../golden/", import.meta.url);

/** The cases of one file (`losses/losses.json`), tensors kept in a .safetensors file beside it filled in. */
export function goldenCases<Case>(path: string): Case[] {
  const at = new URL(path, folder);
  const files = new Map<string, Map<string, GoldenTensor>>();
  const tensorsOf = (name: string) => {
    if (!files.has(name)) files.set(name, readTensors(new URL(name, at)));
    return files.get(name)!;
  };
  const { cases } = JSON.parse(readFileSync(at, "utf8"), (_key, value: Record<string, unknown> | null) =>
    value && typeof value.file === "string" && typeof value.name === "string" && Array.isArray(value.shape)
      ? tensorsOf(value.file).get(value.name)
      : value,
  ) as { cases: Case[] };
  return cases;
}

const arrays = { F32: Float32Array, F64: Float64Array, I32: Int32Array };
const dtypes = { F32: "float32", F64: "float64", I32: "int32" } as const;

function readTensors(url: URL): Map<string, GoldenTensor> {
  const bytes = new Uint8Array(readFileSync(url)).buffer;
  const headerBytes = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, headerBytes))) as Record<
    string,
    { dtype: keyof typeof arrays; shape: number[]; data_offsets: [number, number] }
  >;
  delete header.__metadata__;
  return new Map(
    Object.entries(header).map(([name, { dtype, shape, data_offsets }]) => {
      const [begin, end] = data_offsets.map((offset) => offset + 8 + headerBytes);
      return [name, { dtype: dtypes[dtype], shape, data: Array.from(new arrays[dtype](bytes.slice(begin, end))) }];
    }),
  );
}

/** The suggested tolerance: `floor`, or five times what separates the library's own float32 from float64 where that is more. */
export function tolerance(floor: number, ...spreads: (Spread | undefined)[]): number {
  return Math.max(floor, ...spreads.map((spread) => 5 * (spread?.mixed ?? 0)));
}

/** Holds every number to |actual − expected| ≤ tolerance × (1 + |expected|). */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(actual.length, `${what}: length`).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]) / (1 + Math.abs(expected[i]));
    if (!(error <= tolerance)) {
      expect.fail(
        `${what}[${i}] is ${actual[i]}, not ${expected[i]}: error ${error.toExponential(2)}, tolerance ${tolerance.toExponential(2)}`,
      );
    }
  }
}
