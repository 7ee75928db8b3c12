// Only one service may use a directory, and nobody must clean up by hand after a crash.
//
// The lock is a file that names its holder. It is made by linking a finished file to its name, so
// it is complete and exclusive in one step. If it is there already, the question is whether its
// holder is alive. There are three ways to know:
//
//   1. The kernel's lock on the directory (kernel-lock.ts). If another process has it, the holder
//      is alive. If we got it, no holder is alive on this machine.
//   2. The holder's process id, if it is valid where we run.
//   3. The holder's heartbeat, which it writes into the file every second. If the holder is on
//      another machine, or in another container where the kernel has no lock for us, it counts as
//      gone if the file does not change for STALE_MS. Clocks need not agree.
//
// Only one process at a time may remove the lock of a holder that has gone. Else the slower of two
// could remove the lock that the faster one has just taken. So a process that wants to remove it
// first takes a second lock, which is named after that holder, by the same rules, and then looks
// again.
//
// A holder that stood still for too long may wake and find the lock taken. It checks before each
// heartbeat, and then ends at once (onLost). What it does until then must do no harm; embedded.ts
// says how.
import { randomUUID } from "node:crypto";
import { link, open, readFile, rm, writeFile, type FileHandle } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../log.ts";
import { Retry } from "../retries.ts";
import { StartFailure } from "../start-failure.ts";
import { lockDirectory, type KernelLock } from "./kernel-lock.ts";
import { here, identify, isRunning, isThisKernel, type ProcessIdentity } from "./process.ts";

const BEAT_MS = 1000;
/** How long a holder elsewhere must stand still to count as gone. */
const STALE_MS = 10_000;
const LOOK_MS = 250;
/** If the lock vanishes more often than this between two looks, something else is wrong. */
const MAX_TRIES = 1000;

interface Holder extends ProcessIdentity {
  readonly host: string;
  /** Distinguishes holders with the same process id. */
  readonly token: string;
}

export class LockHeld extends Error {
  override readonly name = "LockHeld";
  readonly pid: number;
  /** The host's name, if the holder is in another container or on another machine. */
  readonly host: string | null;
  constructor(path: string, { pid, place, host }: Holder) {
    super(`${path} is held by process ${pid}`);
    this.pid = pid;
    this.host = place === here ? null : host;
  }
}

export interface LockOptions {
  readonly log: Logger;
  /**
   * Called once if another process has taken the lock because this one stood still for too long.
   */
  readonly onLost: () => void;
  readonly staleMs?: number;
}

export interface Lock {
  /** Whether the previous holder, elsewhere, may only have stood still: then it may wake. */
  readonly mayReturn: boolean;
  release(): Promise<void>;
}

/**
 * Takes the lock for this process.
 * @throws LockHeld if a live process has it, StartFailure if nobody can tell.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<Lock> {
  const kernel = lockDirectory(dirname(path));
  try {
    const self: Holder = { ...identify(process.pid)!, host: hostname(), token: randomUUID() };
    const attempt = { self, kernelLock: kernel.taken, staleMs: options.staleMs ?? STALE_MS, log: options.log };
    return new HeldLock(path, self, kernel, await take(path, attempt), options);
  } catch (error) {
    kernel.release();
    throw error;
  }
}

interface Attempt {
  readonly self: Holder;
  /** Whether we have the kernel's lock on the directory; null: unknown. */
  readonly kernelLock: boolean | null;
  readonly staleMs: number;
  readonly log: Logger;
}

interface Taken {
  readonly file: FileHandle;
  readonly mayReturn: boolean;
}

async function take(path: string, attempt: Attempt): Promise<Taken> {
  let mayReturn = false;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const file = await tryLink(path, attempt.self);
    if (file !== null) return { file, mayReturn };
    const holder = await readHolder(path);
    if (holder === null) continue;
    const state = await stateOf(holder, path, attempt);
    if (state === "alive") throw new LockHeld(path, (await readHolder(path)) ?? holder);
    mayReturn ||= state === "silent";
    await clearAway(path, holder, attempt);
  }
  throw unreadable(path, "it leads nowhere");
}

async function stateOf(
  holder: Holder,
  path: string,
  { kernelLock, staleMs, log }: Attempt,
): Promise<"alive" | "dead" | "silent"> {
  if (kernelLock === false) return "alive";
  if (holder.place === here) return isRunning(holder) ? "alive" : "dead";
  if (kernelLock === true && isThisKernel(holder.place)) return "dead";
  log.warn({ host: holder.host, pid: holder.pid, for_ms: staleMs }, "watching whether the directory's last user lives");
  return (await beats(path, staleMs)) ? "alive" : "silent";
}

/** Counts looks instead of time: while a machine is suspended, the holder is not silent. */
async function beats(path: string, staleMs: number): Promise<boolean> {
  const before = await readText(path);
  for (let looks = 0; looks < staleMs / LOOK_MS; looks++) {
    await sleep(Math.min(LOOK_MS, staleMs));
    if ((await readText(path)) !== before) return true;
  }
  return false;
}

async function clearAway(path: string, { token }: Holder, attempt: Attempt): Promise<void> {
  const claim = `${path}.${encodeURIComponent(token)}`;
  // The kernel's lock is on the directory, and says nothing about a claim.
  const { file } = await take(claim, { ...attempt, kernelLock: null });
  if ((await readHolder(path))?.token === token) await rm(path, { force: true });
  await rm(claim, { force: true });
  await file.close();
}

class HeldLock implements Lock {
  readonly mayReturn: boolean;
  readonly #path: string;
  readonly #self: Holder;
  readonly #kernel: KernelLock;
  readonly #options: LockOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #renewal: Retry;
  #file: FileHandle;
  #beats = 0;
  #beating: Promise<void> | null = null;

  constructor(path: string, self: Holder, kernel: KernelLock, { file, mayReturn }: Taken, options: LockOptions) {
    this.mayReturn = mayReturn;
    this.#path = path;
    this.#self = self;
    this.#kernel = kernel;
    this.#options = options;
    this.#file = file;
    this.#renewal = new Retry("lock", options.log);
    this.#timer = setInterval(() => this.#beat(), BEAT_MS).unref();
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    this.#renewal.gaveUp();
    if ((await readHolder(this.#path))?.token === this.#self.token) await rm(this.#path, { force: true });
    await this.#file.close();
    this.#kernel.release();
  }

  #beat(): void {
    this.#beating ??= this.#renew()
      .then(() => this.#renewal.worked())
      .catch((error: unknown) => this.#renewal.failed(error))
      .finally(() => (this.#beating = null));
  }

  async #renew(): Promise<void> {
    const holder = await readHolder(this.#path);
    if (holder === null) await this.#putBack();
    else if (holder.token !== this.#self.token) return this.#lose();
    // Writes into our own file, whatever its name leads to by now. Other machines see it when it
    // is on disk.
    await this.#file.write(textOf(this.#self, ++this.#beats), 0);
    await this.#file.datasync();
  }

  /** Makes the file again if somebody removed it by mistake. */
  async #putBack(): Promise<void> {
    const file = await tryLink(this.#path, this.#self);
    if (file === null) return;
    await this.#file.close();
    this.#file = file;
  }

  #lose(): void {
    clearInterval(this.#timer);
    this.#options.onLost();
  }
}

function textOf(holder: Holder, beats: number): string {
  return JSON.stringify({ ...holder, beats });
}

/** Returns null if the lock is there already. */
async function tryLink(path: string, self: Holder): Promise<FileHandle | null> {
  const complete = `${path}.${randomUUID()}.new`;
  try {
    await writeFile(complete, textOf(self, 0));
    await link(complete, path);
    return await open(complete, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return null;
    throw error;
  } finally {
    await rm(complete, { force: true });
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    throw unreadable(path, String(code));
  }
}

function unreadable(path: string, why: string): StartFailure {
  return new StartFailure(
    `The lock ${path} cannot be read (${why}): make sure that no service uses this data directory, then remove it.`,
  );
}

/**
 * Returns null if nobody holds the lock. A file that names nobody (a power cut emptied it) counts
 * as held by a process elsewhere, and its heartbeat decides.
 */
async function readHolder(path: string): Promise<Holder | null> {
  const text = await readText(path);
  if (text === null) return null;
  try {
    const { pid, started, ...more } = JSON.parse(text) as Partial<Holder>;
    if (Number.isSafeInteger(pid) && pid! > 0 && typeof started === "string") return holderOf(pid!, started, more);
  } catch {
    // Not JSON: handled below.
  }
  return { pid: 0, started: "", place: "unknown", host: "unknown", token: "unreadable" };
}

/**
 * Earlier versions stored only the process id and its start. Their place is the boot: they did not
 * distinguish containers.
 */
function holderOf(pid: number, started: string, { place, host, token }: Partial<Holder>): Holder {
  const boot = started.slice(0, started.lastIndexOf("-"));
  return {
    pid,
    started,
    place: place ?? (boot === "" || isThisKernel(boot) ? here : boot),
    host: host ?? "unknown",
    token: token ?? `${pid}-${started}`,
  };
}
