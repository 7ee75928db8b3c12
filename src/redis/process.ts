// Which process a number means. Process ids are used again, so a process is known by its id and the moment it started.
import { readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Boot and clock tick of its start; empty where the system (it has no /proc) does not tell. */
  readonly started: string;
}

/** Null if no such process runs. One that has ended and that nobody has waited for (a zombie) does not run. */
export function identify(pid: number): ProcessIdentity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may itself contain spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return null;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return { pid, started: `${boot}-${fields[19]}` };
  } catch {
    return exists(pid) ? { pid, started: "" } : null;
  }
}

/** Whether the process that was identified still runs; in doubt it does. */
export function isRunning({ pid, started }: ProcessIdentity): boolean {
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
