// The directory of the embedded Redis' data.
import { existsSync } from "node:fs";
import { cp, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * Makes the directory if there is none.
 *
 * With `renew` its files are replaced by copies. A server elsewhere that has the old files open
 * goes on writing into them, and so not into this directory. If the process dies meanwhile, the
 * next call continues.
 */
export async function prepareFiles(directory: string, renew: boolean): Promise<void> {
  const copy = `${directory}.copy`;
  const old = `${directory}.old`;
  if (renew && existsSync(directory)) {
    await rm(copy, { recursive: true, force: true });
    await cp(directory, copy, { recursive: true });
    await syncFiles(copy);
    await rename(directory, old);
  }
  if (existsSync(copy) && !existsSync(directory)) await rename(copy, directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await rm(copy, { recursive: true, force: true });
  await rm(old, { recursive: true, force: true });
}

async function syncFiles(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name), "r");
    await file.sync();
    await file.close();
  }
}
