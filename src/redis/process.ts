// Which process a number means. Process ids are used again, so a process is known by its id and the
// moment it started. They also mean something only where they were given: on one machine since its
// last start, in one namespace of process ids (a container has its own).
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export interface ProcessIdentity {
  readonly pid: number;
  /** Boot and clock tick of its start; empty where the system (it has no /proc) does not tell. */
  readonly started: string;
  /** Where the id means this process. */
  readonly place: string;
}

/**
 * Where this process runs: boot and namespace, or the host's name where the system does not tell.
 */
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

/**
 * Whether a place is on this machine as it has run since its last start, though in another
 * namespace perhaps.
 */
export function isThisKernel(place: string): boolean {
  return place.split(" ")[0] === here.split(" ")[0];
}

/**
 * Null if no such process runs here. One that has ended and that nobody has waited for (a zombie)
 * does not run.
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
 * Whether the process that was identified runs here; in doubt it does. One of another place does
 * not.
 */
export function isRunning({ pid, started, place }: ProcessIdentity): boolean {
  if (place !== here) return false;
  const now = identify(pid);
  return now !== null && (now.started === started || now.started === "" || started === "");
}

function exists(pid: number): boolean {
  // To kill(2) zero and less mean groups of processes.
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and not ours to signal.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
