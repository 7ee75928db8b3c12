/**
 * What the archive holds of an ended job, and how it is read.
 *
 * The head of its entry (entry.ts) has the job's record as it was at the end, and the manifests of
 * its checkpoints and models. Its parts are the files (`checkpoint:<step>`, `model:<final or
 * best>`), and the lists of its events and rows as Redis held them, whatever their elements are.
 */
import { meters } from "../../meters.ts";
import { Damaged, OutOfReach, type StoredKind } from "../errors.ts";
import { placeIn, type Head, type Place } from "./entry.ts";
import { DamagedEntry, readHead, readPart, type Read } from "./segment.ts";

/** Where the bytes of segments come from. */
export interface Source {
  /** @throws OutOfReach */
  read<T>(segment: string, use: (read: Read) => Promise<T>): Promise<T>;
}

/** The fields of a hash. */
type Hash = Readonly<Record<string, string>>;

/** What the head of a job's entry says. */
export interface ArchivedJob {
  readonly owner: string;
  readonly id: string;
  readonly record: Hash;
  /** Step → manifest. */
  readonly checkpoints: Readonly<Record<string, Hash>>;
  readonly models: Readonly<Record<string, Hash>>;
}

/** Jobs that were deleted, in an entry without parts. */
export interface Tombstones {
  readonly deleted: readonly (readonly [owner: string, id: string])[];
}

export class Archive {
  readonly #source: Source | null;

  /** @param source null: this process has no archive */
  constructor(source: Source | null) {
    this.#source = source;
  }

  /** @param place as the job's record has it. @throws Damaged, OutOfReach */
  async job(place: string): Promise<ArchivedJob> {
    return await this.#read(place, "record", async (_, head) => head.about as ArchivedJob);
  }

  /** The elements of a list. @throws Damaged, OutOfReach */
  async list(place: string, name: string): Promise<Buffer[]> {
    return elementsIn((await this.#part(place, name, "record")) ?? Buffer.alloc(0));
  }

  /** Null if the job had no such file. @throws Damaged, OutOfReach */
  async file(place: string, name: string, kind: StoredKind): Promise<{ bytes: Buffer; sha256: string } | null> {
    const sha256 = await this.#read(place, kind, async (_, { parts }) => parts.get(name)?.sha256 ?? null);
    const bytes = await this.#part(place, name, kind);
    return bytes && sha256 !== null ? { bytes, sha256 } : null;
  }

  async #part(place: string, name: string, kind: StoredKind): Promise<Buffer | null> {
    return await this.#read(place, kind, async (read, { parts }) => {
      const part = parts.get(name);
      if (part === undefined) return null;
      const whole = Buffer.allocUnsafeSlow(part.bytes);
      let offset = 0;
      for await (const slice of readPart(read, part)) offset += slice.copy(whole, offset);
      return whole;
    });
  }

  async #read<T>(text: string, kind: StoredKind, use: (read: Read, head: Head) => Promise<T>): Promise<T> {
    if (this.#source === null) throw new OutOfReach("this process has none");
    const place: Place = placeIn(text);
    try {
      return await this.#source.read(place.segment, async (read) => await use(read, await readHead(read, place)));
    } catch (error) {
      if (!(error instanceof DamagedEntry)) throw error;
      meters.damage.inc({ what: kind });
      throw new Damaged(kind);
    }
  }
}

const LENGTH_BYTES = 4;

/** The content of a part that is a list: the length of each element before it. */
export function contentOf(elements: readonly Buffer[]): Buffer {
  const bytes = elements.reduce((sum, element) => sum + LENGTH_BYTES + element.byteLength, 0);
  const content = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const element of elements) {
    at = content.writeUInt32LE(element.byteLength, at);
    at += element.copy(content, at);
  }
  return content;
}

function elementsIn(content: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  for (let at = 0; at < content.byteLength;) {
    const from = at + LENGTH_BYTES;
    at = from + content.readUInt32LE(at);
    elements.push(content.subarray(from, at));
  }
  return elements;
}
