// The kernel's lock on a directory (flock). It is exact: it applies to every process and container
// of this machine, also while the holder stands still. The kernel releases it when the last process
// that has the descriptor ends.
//
// Node has no call for it. So the program `flock` (util-linux, busybox) takes it on a descriptor
// that it inherits. The lock belongs to the open file, and stays after that program has ended.
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";

export interface KernelLock {
  /** A process that inherits it holds the lock too. */
  readonly descriptor: number;
  /**
   * Whether we got the lock. Null: unknown, because this system has no such program, or this file
   * system has no such lock.
   */
  readonly taken: boolean | null;
  /** Closes the descriptor. */
  release(): void;
}

export function lockDirectory(directory: string): KernelLock {
  const descriptor = openSync(directory, "r");
  const { status } = spawnSync("flock", ["-xn", "3"], { stdio: ["ignore", "ignore", "ignore", descriptor] });
  const taken = status === 0 ? true : status === 1 ? false : null;
  let open = true;
  const release = () => {
    // A second close might close a descriptor that somebody else has by then.
    if (open) closeSync(descriptor);
    open = false;
  };
  return { descriptor, taken, release };
}
