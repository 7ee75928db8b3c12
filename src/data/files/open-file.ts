/** An open file of a dataset, or of weights, for sending it. */
import { createHash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { pipeline, Transform, type Readable } from "node:stream";
import { meters } from "../../meters.ts";
import { DatasetLost } from "../dataset.ts";

/** Whose bytes a file holds as they came. */
type Kept = "dataset" | "weights";

const START_BYTES = 64;
/** How often a file that was there may be gone when it is opened. */
const TRIES = 10;

/**
 * One of its streams must read it, and closes it. It can be read to its end even if it is deleted
 * meanwhile.
 */
export class OpenFile {
  readonly #file: FileHandle;
  readonly bytes: number;
  /** Its first bytes, which identify it. */
  readonly start: Buffer;

  private constructor(file: FileHandle, bytes: number, start: Buffer) {
    this.#file = file;
    this.bytes = bytes;
    this.start = start;
  }

  /** Null if there is no such file. */
  static async open(path: string): Promise<OpenFile | null> {
    const file = await open(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (file === null) return null;
    try {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read(Buffer.alloc(START_BYTES), 0, START_BYTES, 0);
      return new OpenFile(file, size, buffer.subarray(0, bytesRead));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Null once `isThere` says no. A file may be renamed between the look and the opening, and is
   * then removed or put back.
   */
  static async openWhile(isThere: () => Promise<boolean>, path: string): Promise<OpenFile | null> {
    for (let tries = 0; tries < TRIES && (await isThere()); tries++) {
      const file = await OpenFile.open(path);
      if (file !== null) return file;
    }
    return null;
  }

  /** Closes a file without reading it. */
  async close(): Promise<void> {
    await this.#file.close();
  }

  /** The bytes from `first` on. The receiver checks them. */
  from(first: number): Readable {
    return this.#file.createReadStream({ start: first });
  }

  /** All bytes. If the hash is wrong, the stream fails before it has sent the last byte. */
  checked(sha256: string, what: Kept = "dataset"): Readable {
    return pipeline(this.from(0), checkedAgainst(sha256, what), () => undefined);
  }
}

/** Passes on what it gets, but the last chunk only if the whole has this hash. */
function checkedAgainst(sha256: string, what: Kept): Transform {
  const hash = createHash("sha256");
  let last: Buffer | undefined;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, last);
      last = chunk;
    },
    flush(done) {
      if (hash.digest("hex") === sha256) return done(null, last);
      meters.damage.inc({ what });
      done(new DatasetLost(`The file of ${what === "dataset" ? "this dataset" : "these weights"} is damaged.`));
    },
  });
}
