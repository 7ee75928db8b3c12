import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * Reference numbers of PyTorch, optax and Keras; test/golden/README.md describes format and
 * tolerances.
 */
export interface GoldenTensor {
  readonly dtype: "float32" | "float64" | "int32";
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** The differences between the library's own float32 and float64 results. */
export interface Spread {
  readonly mixed: number;
}

export interface GoldenCase {
  readonly id: string;
}

type Tensors = Readonly<Record<string, GoldenTensor>>;

/** A case of a layer: what goes in, what comes out, and all gradients. */
export interface LayerCase extends GoldenCase {
  readonly layer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly mode: "train" | "eval";
  readonly inputs: Tensors;
  readonly params: Tensors;
  readonly buffers?: Tensors;
  readonly upstream: Tensors;
  readonly expected: {
    readonly float64: {
      readonly outputs: Tensors;
      readonly grad_inputs: Tensors;
      readonly grad_params: Tensors;
      readonly buffers_after?: Tensors;
    };
  };
  readonly float32_vs_float64: Spread;
}

export interface GoldenFile<Case = GoldenCase> {
  readonly format: string;
  readonly kind: string;
  readonly cases: readonly Case[];
}

const FORMAT = "golden-cases-1";

/** Every file of golden cases in a directory and those below it. */
export function goldenFiles(directory: string): GoldenFile[] {
  return globSync("**/*.json", { cwd: directory })
    .sort()
    .map((name) => readGolden(pathToFileURL(join(directory, name))))
    .filter(({ format }) => format === FORMAT);
}

/** The cases of one file, tensors kept in a .safetensors file beside it filled in. */
export function readGolden<Case = GoldenCase>(file: URL): GoldenFile<Case> {
  const files = new Map<string, Map<string, GoldenTensor>>();
  const tensorsOf = (name: string) => {
    if (!files.has(name)) files.set(name, readTensors(new URL(name, file)));
    return files.get(name)!;
  };
  return JSON.parse(readFileSync(file, "utf8"), (_key, value: unknown) => {
    if (!isTensor(value)) return value;
    if ("file" in value) return tensorsOf(String(value.file)).get(String((value as { name?: unknown }).name));
    // A float32 is written with as many digits as tell it from its neighbours; the libraries saw
    // the float32.
    return value.dtype === "float32" ? { ...value, data: value.data.map(Math.fround) } : value;
  }) as GoldenFile<Case>;
}

export function isTensor(value: unknown): value is GoldenTensor {
  return typeof value === "object" && value !== null && "dtype" in value && "shape" in value;
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

/**
 * The suggested tolerance: `floor`, or five times what separates the library's own float32 from
 * float64 where that is more.
 */
export function tolerance(floor: number, ...spreads: (Spread | null | undefined)[]): number {
  return Math.max(floor, ...spreads.map((spread) => 5 * (spread?.mixed ?? 0)));
}
