// One holder per lock file, and nothing to clean up by hand after a crash.
//
// A lock is a file that names its holder, made complete and exclusive in one step by linking a finished file to its
// name. A lock whose holder no longer runs may be cleared away, but only by one process at a time, or the slower of two would
// clear away the lock that the faster has just taken. So who wants to clear a dead holder's lock first takes a lock named after
// that dead holder, by these same rules, and looks again.
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { identify, isRunning, type ProcessIdentity } from "./process.ts";

export class LockHeld extends Error {
  override readonly name = "LockHeld";
  readonly pid: number;
  constructor(path: string, pid: number) {
    super(`${path} is held by process ${pid}`);
    this.pid = pid;
  }
}

/**
 * Takes the lock for this process and returns what gives it back.
 * @throws LockHeld if a process that runs has it.
 */
export function acquireLock(path: string): () => void {
  const self = identify(process.pid)!;
  while (!tryLink(path, self)) {
    const holder = readHolder(path);
    if (holder === null) continue;
    if (isRunning(holder)) throw new LockHeld(path, holder.pid);
    const releaseClaim = acquireLock(`${path}.${holder.pid}-${holder.started}`);
    if (isSame(readHolder(path), holder)) rmSync(path);
    releaseClaim();
  }
  return () => {
    if (isSame(readHolder(path), self)) rmSync(path);
  };
}

function tryLink(path: string, self: ProcessIdentity): boolean {
  const complete = `${path}.${self.pid}.new`;
  writeFileSync(complete, JSON.stringify(self));
  try {
    linkSync(complete, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(complete, { force: true });
  }
}

/** Null if nobody holds it. A file without a readable holder (the disk lost it in a power cut) is held by a process that cannot run. */
function readHolder(path: string): ProcessIdentity | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return null;
  }
  try {
    const { pid, started } = JSON.parse(text) as Partial<ProcessIdentity>;
    if (Number.isSafeInteger(pid) && pid! > 0 && typeof started === "string") return { pid: pid!, started };
  } catch {
    // Not JSON: as below.
  }
  return { pid: 0, started: "unreadable" };
}

function isSame(a: ProcessIdentity | null, b: ProcessIdentity): boolean {
  return a !== null && a.pid === b.pid && a.started === b.started;
}
