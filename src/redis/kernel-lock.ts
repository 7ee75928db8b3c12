// The kernel's lock on a directory (flock). It is exact: it holds for every process and container
// of this machine, also while the holder stands still, and the kernel gives it back when the last
// process that has the descriptor ends.
//
// Node has no call for it, so the program `flock` (util-linux, busybox) takes it on a descriptor
// that it inherits: the lock belongs to the open file, and outlives that program.
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";

export interface KernelLock {
  /** Whoever inherits it holds the lock too. */
  readonly descriptor: number;
  /** Null: neither, since this system has no such program, or this file system no such lock. */
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
    // Closed twice it might be somebody else's by then.
    if (open) closeSync(descriptor);
    open = false;
  };
  return { descriptor, taken, release };
}
