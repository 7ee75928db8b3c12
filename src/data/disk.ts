/** What the directories of dataset files have in common. */
import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** A file that is still being written is written to more often than that. */
const ABANDONED_MS = 60 * 60 * 1000;

/** Removes those of the files that nobody has written to for an hour: another process may share the directory, and be at it. */
export async function removeAbandoned(directory: string, names: readonly string[]): Promise<void> {
  const paths = names.map((name) => join(directory, name));
  await Promise.all(
    paths.map(async (path) => {
      const written = await stat(path).catch(() => null);
      if (written !== null && written.mtimeMs < Date.now() - ABANDONED_MS) await rm(path, { force: true });
    }),
  );
}

/** A rename is safe from a power cut only once its directory is on disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
