// The directory of the embedded Redis' data.
import { existsSync } from "node:fs";
import { cp, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { StartFailure } from "../start-failure.ts";

/** In a copy: where the directory goes that it replaces. It also says that we made the copy. */
const REPLACED = "replaced";

/**
 * Makes the directory if there is none.
 *
 * With `renew` its files are replaced by copies. A server elsewhere that has the old files open
 * goes on writing into them, and so not into this directory. If the process dies meanwhile, the
 * next call continues. What others put beside the directory stays.
 * @throws StartFailure if something lies where the copy is to be
 */
export async function prepareFiles(directory: string, renew: boolean): Promise<void> {
  const copy = `${directory}.copy`;
  await rm(join(directory, REPLACED), { recursive: true, force: true });
  if (existsSync(join(copy, REPLACED)) && existsSync(directory)) await rm(copy, { recursive: true });
  if (renew && existsSync(directory)) {
    if (existsSync(copy)) {
      throw new StartFailure(`${copy} is in the way: ${directory} must be copied there. Give it another name.`);
    }
    await mkdir(join(copy, REPLACED), { recursive: true, mode: 0o700 });
    await cp(directory, copy, { recursive: true });
    await syncFiles(copy);
    await rename(directory, join(copy, REPLACED));
  }
  if (existsSync(copy) && !existsSync(directory)) await rename(copy, directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await rm(join(directory, REPLACED), { recursive: true, force: true });
}

async function syncFiles(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name), "r");
    await file.sync();
    await file.close();
  }
}
