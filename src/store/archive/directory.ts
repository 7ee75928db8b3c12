/**
 * The directory of the archive:
 *
 * - `id`: a random name, which Redis has too. A directory without it, or with another one, is not
 *   the archive of these jobs: a network share that is not mounted, or another service's
 * - `<ulid>.segment`: segments (segment.ts)
 * - `quarantine/<ulid>.segment`: segments to which no record refers, before they are removed. They
 *   are read as the others are, and come back if a record refers to them again: a Redis that was
 *   restored from a back-up has older records
 */
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { crashPoint } from "../../crash-point.ts";
import { diskFault } from "../../disk-fault.ts";
import { syncDirectory } from "../../sync-directory.ts";
import { OutOfReach } from "../errors.ts";
import { epochOf, isSegment, readOf, SegmentWriter, type Read } from "./segment.ts";

const ID = "id";
const QUARANTINE = "quarantine";

export interface SegmentFile {
  readonly name: string;
  readonly bytes: number;
  /** When it was last written to, or quarantined. */
  readonly changedMs: number;
  readonly quarantined: boolean;
}

export class ArchiveDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory the archive of this id. Several processes may do so at once. */
  async claim(id: string): Promise<void> {
    await this.prepare();
    const temporary = join(this.path, `id-${randomUUID()}`);
    try {
      await writeFile(temporary, id, { flag: "wx", flush: true });
      await rename(temporary, join(this.path, ID));
    } catch (error) {
      // It is tried again every second, as long as the disk is full.
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(this.path);
  }

  /** Creates what is missing of the folders. */
  async prepare(): Promise<void> {
    await mkdir(join(this.path, QUARANTINE), { recursive: true });
  }

  /** Null if there is no archive here. */
  async id(): Promise<string | null> {
    try {
      return await readFile(join(this.path, ID), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  /** @throws OutOfReach */
  async read<T>(segment: string, use: (read: Read) => Promise<T>): Promise<T> {
    const file = await this.#open(segment);
    const read = readOf(file);
    try {
      return await use(async (offset, bytes) => {
        try {
          return await read(offset, bytes);
        } catch (error) {
          throw unreachable(error, this.path);
        }
      });
    } finally {
      await file.close();
    }
  }

  async begin(epoch: string): Promise<SegmentWriter> {
    const names = (await this.segments()).map(({ name }) => name);
    return await SegmentWriter.create(this.path, epoch, names.sort().at(-1) ?? null);
  }

  async segments(): Promise<SegmentFile[]> {
    return [...(await this.#list(this.path, false)), ...(await this.#list(join(this.path, QUARANTINE), true))];
  }

  async epoch(segment: string): Promise<string | null> {
    return await this.read(segment, epochOf);
  }

  async quarantine(segment: string): Promise<void> {
    const path = join(this.path, segment);
    // Its time in quarantine begins now.
    await utimes(path, new Date(), new Date());
    await this.#move(path, join(this.path, QUARANTINE, segment));
    crashPoint("archive-quarantined");
  }

  async bringBack(segment: string): Promise<void> {
    await this.#move(join(this.path, QUARANTINE, segment), join(this.path, segment));
  }

  /** Removes a segment that is in quarantine. */
  async remove(segment: string): Promise<void> {
    await rm(join(this.path, QUARANTINE, segment), { force: true });
  }

  async #move(from: string, to: string): Promise<void> {
    await rename(from, to);
    await syncDirectory(this.path);
    await syncDirectory(join(this.path, QUARANTINE));
  }

  async #list(directory: string, quarantined: boolean): Promise<SegmentFile[]> {
    const names = (await readdir(directory)).filter(isSegment).sort();
    const files = await Promise.all(
      names.map(async (name) => {
        // It may have been moved since the directory was read.
        const found = await stat(join(directory, name)).catch(() => null);
        return found?.isFile() ? { name, bytes: found.size, changedMs: found.mtimeMs, quarantined } : null;
      }),
    );
    return files.filter((file) => file !== null);
  }

  async #open(segment: string): Promise<FileHandle> {
    if (!isSegment(segment)) throw new Error(`${JSON.stringify(segment)} is no segment.`);
    // It may be moved between the two looks, in either direction.
    for (const folder of ["", QUARANTINE, ""]) {
      try {
        return await open(join(this.path, folder, segment));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw unreachable(error, this.path);
      }
    }
    throw new OutOfReach(`${this.path} has no ${segment}`);
  }
}

/**
 * The error of a disk, or of a share that is gone, as ours. Whatever the system says: the bytes may
 * be whole, and cannot be read now.
 */
function unreachable(error: unknown, directory: string): unknown {
  const { syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  const fault = diskFault(error);
  return new OutOfReach(fault === null ? message : `the disk of ${directory} ${fault}`, { cause: error });
}
