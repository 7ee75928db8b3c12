// Which process an id means. Process ids are used again, so a process is identified by its id and
// its start time. An id is also valid only where it was given: on one machine since its last start,
// in one namespace of process ids (a container has its own).
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export interface ProcessIdentity {
  readonly pid: number;
  /** Boot and clock tick of its start; empty on systems without /proc. */
  readonly started: string;
  /** Where the id is valid. */
  readonly place: string;
}

/** Where this process runs: boot and namespace, or the host's name on systems without /proc. */
export const here = placeOfThisProcess();

function placeOfThisProcess(): string {
  try {
    return `${bootId()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** Whether a place is on this machine since its last start, perhaps in another namespace. */
export function isThisKernel(place: string): boolean {
  return place.split(" ")[0] === here.split(" ")[0];
}

/**
 * Identifies a process. Null if it does not run here. A process that has ended but whose parent
 * has not waited for it (a zombie) does not run.
 */
export function identify(pid: number): ProcessIdentity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may itself contain spaces and
    // parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return null;
    return { pid, started: `${bootId()}-${fields[19]}`, place: here };
  } catch {
    return exists(pid) ? { pid, started: "", place: here } : null;
  }
}

/**
 * Whether the identified process still runs. In doubt it does. A process of another place does not
 * run here.
 */
export function isRunning({ pid, started, place }: ProcessIdentity): boolean {
  if (place !== here) return false;
  const now = identify(pid);
  return now !== null && (now.started === started || now.started === "" || started === "");
}

function exists(pid: number): boolean {
  // For kill(2), zero and negative ids mean groups of processes.
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process exists, but we may not signal it.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
