/**
 * Datasets encoded for training, in helper threads, and shared within the process: jobs that encode one dataset alike train on the same
 * buffers.
 */
import type { TargetKind } from "../engine/training.ts";
import type { DataSizes, DataSpec, Encoded } from "./encoding.ts";
import type { DatasetFiles } from "./files.ts";
import { runInHelper } from "./pool.ts";

/** Of the encodings that no job uses any more, the latest up to this size are kept for the next job. */
const KEPT_BYTES = 256 * 2 ** 20;

/** The rows on either side of the split, and how many inputs a model of these data has. */
export function splitCounts(files: DatasetFiles, sha256: string, data: DataSpec): Promise<DataSizes> {
  return runInHelper("measureFile", { path: files.columnsPath(sha256), data: essence(data) });
}

export function encode(files: DatasetFiles, sha256: string, data: DataSpec, targets: TargetKind): Promise<Encoded> {
  const input = { path: files.columnsPath(sha256), data: essence(data), targets };
  return encodings.get(JSON.stringify(input), () => runInHelper("encodeFile", input));
}

/** Without what does not influence the encoding, such as the dataset's id, which differs between owners of the same bytes. */
function essence({ target, features, validation, preprocess }: DataSpec): DataSpec {
  return { target, features, validation, preprocess };
}

/** An encoding that is in use anywhere is always shared; those in use nowhere are kept up to a number of bytes, the latest used first. */
export class EncodingCache {
  readonly #keptBytes: number;
  readonly #pending = new Map<string, Promise<Encoded>>();
  readonly #alive = new Map<string, WeakRef<Encoded>>();
  /** In the order of their last use. */
  readonly #kept = new Map<string, Encoded>();

  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  get(key: string, make: () => Promise<Encoded>): Promise<Encoded> {
    const alive = this.#alive.get(key)?.deref();
    if (alive !== undefined) {
      this.#keep(key, alive);
      return Promise.resolve(alive);
    }
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = make()
        .then((encoded) => this.#add(key, encoded))
        .finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  #add(key: string, encoded: Encoded): Encoded {
    for (const [other, reference] of this.#alive) if (reference.deref() === undefined) this.#alive.delete(other);
    this.#alive.set(key, new WeakRef(encoded));
    this.#keep(key, encoded);
    return encoded;
  }

  #keep(key: string, encoded: Encoded): void {
    this.#kept.delete(key);
    this.#kept.set(key, encoded);
    let bytes = [...this.#kept.values()].reduce((sum, { data }) => sum + bytesOf(data), 0);
    for (const [oldest, { data }] of this.#kept) {
      if (bytes <= this.#keptBytes) break;
      this.#kept.delete(oldest);
      bytes -= bytesOf(data);
    }
  }
}

function bytesOf({ features, targets, trainRows, validRows }: Encoded["data"]): number {
  return features.byteLength + targets.byteLength + trainRows.byteLength + validRows.byteLength;
}

const encodings = new EncodingCache(KEPT_BYTES);
