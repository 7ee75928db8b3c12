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
  readonly #lists = new RecentLists();

  /** @param source null: this process has no archive */
  constructor(source: Source | null) {
    this.#source = source;
  }

  /** @param place as the job's record has it. @throws Damaged, OutOfReach */
  async job(place: string): Promise<ArchivedJob> {
    return await this.#read(place, "record", async (_, head) => head.about as ArchivedJob);
  }

  /** The elements of a list. @throws Damaged, OutOfReach */
  async list(place: string, name: string): Promise<Iterable<Buffer>> {
    const key = `${place} ${name}`;
    const content = await this.#read(place, "record", async (read, head) => {
      return this.#lists.get(key) ?? (await partIn(read, head, name)) ?? Buffer.alloc(0);
    });
    this.#lists.keep(key, content);
    return elementsIn(content);
  }

  /** Null if the job had no such file. @throws Damaged, OutOfReach */
  async file(place: string, name: string, kind: StoredKind): Promise<{ bytes: Buffer; sha256: string } | null> {
    return await this.#read(place, kind, async (read, head) => {
      const bytes = await partIn(read, head, name);
      return bytes && { bytes, sha256: head.parts.get(name)!.sha256 };
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

/** Null if there is no such part. */
async function partIn(read: Read, { parts }: Head, name: string): Promise<Buffer | null> {
  const part = parts.get(name);
  if (part === undefined) return null;
  const whole = Buffer.allocUnsafeSlow(part.bytes);
  let offset = 0;
  for await (const slice of readPart(read, part)) offset += slice.copy(whole, offset);
  return whole;
}

const RECENT_BYTES = 32 * 2 ** 20;
const RECENT_MS = 5000;

/**
 * The lists that were read last. A list is read and checked as a whole, and clients read it page by
 * page: a job may have a thousand pages of events.
 */
class RecentLists {
  readonly #lists = new Map<string, Buffer>();
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  get(key: string): Buffer | undefined {
    return this.#lists.get(key);
  }

  /** Makes it the list that was read last. */
  keep(key: string, content: Buffer): void {
    this.#drop(key);
    this.#lists.set(key, content);
    this.#bytes += content.byteLength;
    for (const oldest of this.#lists.keys()) {
      if (this.#bytes <= RECENT_BYTES) break;
      this.#drop(oldest);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#clear(), RECENT_MS).unref();
  }

  #clear(): void {
    this.#lists.clear();
    this.#bytes = 0;
  }

  #drop(key: string): void {
    this.#bytes -= this.#lists.get(key)?.byteLength ?? 0;
    this.#lists.delete(key);
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

function* elementsIn(content: Buffer): Generator<Buffer> {
  for (let at = 0; at < content.byteLength;) {
    const from = at + LENGTH_BYTES;
    at = from + content.readUInt32LE(at);
    yield content.subarray(from, at);
  }
}
