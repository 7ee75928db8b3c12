/** Functions that all directories of dataset files share. */
import { randomUUID } from "node:crypto";
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { diskFault } from "../../disk-fault.ts";

/** A file counts as abandoned if it has not changed for so long. */
const ABANDONED_MS = 60 * 60 * 1000;

/** What a probe writes. A full disk may still have room for an empty file. */
const PROBE = Buffer.alloc(4096);

/** The name of a probe that a crash left behind. */
export const PROBE_NAME = /^probe-[0-9a-f-]{36}$/;

/**
 * The code of a DamagedFile. Between threads an error loses its class, but not its code and its
 * path (pool.ts).
 */
const DAMAGED = "RAPPEL_DAMAGED";

/**
 * A file is missing, cut off, or holds other bytes than were written to it. There may be another
 * way to get its content.
 */
export class DamagedFile extends Error {
  readonly code = DAMAGED;
  readonly path: string;

  constructor(message: string, path: string) {
    super(message);
    this.path = path;
  }
}

/** Whether a file is damaged, whichever. */
export function isDamage(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === DAMAGED;
}

/** Whether the file with this path is damaged. */
export function isDamaged(error: unknown, path: string): boolean {
  return isDamage(error) && (error as NodeJS.ErrnoException).path === path;
}

/** @throws Error with the reason if nothing can be written there */
export async function probeDirectory(directory: string): Promise<void> {
  const path = join(directory, `probe-${randomUUID()}`);
  try {
    await writeFile(path, PROBE, { flag: "wx" });
  } catch (error) {
    throw new Error(`the disk of ${directory} ${diskFault(error) ?? `cannot be used: ${(error as Error).message}`}`, {
      cause: error,
    });
  } finally {
    await rm(path, { force: true });
  }
}

/**
 * Removes the files that have not been written to for an hour. Younger ones may be those of another
 * process that shares the directory and is still writing.
 */
export async function removeAbandoned(directory: string, names: readonly string[]): Promise<void> {
  const paths = names.map((name) => join(directory, name));
  await Promise.all(
    paths.map(async (path) => {
      const written = await stat(path).catch(() => null);
      if (written !== null && written.mtimeMs < Date.now() - ABANDONED_MS) await rm(path, { force: true });
    }),
  );
}
