// Brings a Redis to a machine that has none, without root and without touching the system.
//
// On Debian and its relatives any user may resolve and download packages, if apt keeps its state
// somewhere else. So apt gets private directories for state and cache, and a list of the installed
// packages without Redis (an installed one may be outside PATH, or only a part such as redis-cli).
// Apt finds out which packages redis-server needs besides the installed ones, and downloads them
// from the machine's own sources, with the usual check of signatures. Then dpkg-deb unpacks the
// archives into a directory that is renamed at the end, so that `tools/redis` is always complete.
// Several processes may do this at once: one wins, and the others use its result.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { unpackedServer, type RedisServer } from "./server.ts";

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 120_000;

type Execute = (command: string, args: string[]) => Promise<void>;

/**
 * @param installed dpkg's list of the packages that the system has
 * @throws Error with what apt or dpkg said, if the packages cannot be fetched
 */
export async function installFromDebian(
  toolsDirectory: string,
  path = process.env.PATH,
  installed = "/var/lib/dpkg/status",
): Promise<RedisServer> {
  const execute = (command: string, args: string[]) => executeWith(path, command, args);
  await mkdir(toolsDirectory, { recursive: true });
  const work = await mkdtemp(join(toolsDirectory, ".installing-"));
  try {
    await writeFile(join(work, "status"), withoutRedis(await readFile(installed, "utf8")));
    const archives = await download(work, execute);
    const unpacked = join(work, "root");
    for (const archive of archives) await execute("dpkg-deb", ["-x", archive, unpacked]);
    const fetched = await unpackedServer(unpacked);
    if (fetched === null) throw new Error("the packages were fetched but their redis-server does not run");
    return await moveIntoPlace(unpacked, join(toolsDirectory, "redis"));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(work: string, execute: Execute): Promise<string[]> {
  const archives = join(work, "cache/archives");
  await mkdir(join(work, "state/lists/partial"), { recursive: true });
  await mkdir(join(archives, "partial"), { recursive: true });
  const configuration = join(work, "apt.conf");
  await writeFile(configuration, aptConfiguration(work));
  // One unreachable source makes `update` fail, although the source of Redis may be fine. So only
  // a failed download counts.
  const updated = await execute("apt-get", ["-c", configuration, "update"]).catch((error: Error) => error);
  try {
    const install = ["--yes", "--download-only", "--no-install-recommends", "install", "redis-server"];
    await execute("apt-get", ["-c", configuration, ...install]);
  } catch (error) {
    throw updated instanceof Error ? updated : error;
  }
  const files = (await readdir(archives)).filter((name) => name.endsWith(".deb"));
  return files.map((name) => join(archives, name));
}

/** In dpkg's list each package is a paragraph. */
function withoutRedis(status: string): string {
  return status
    .split("\n\n")
    .filter((paragraph) => !/^Package: (redis|valkey)/m.test(paragraph))
    .join("\n\n");
}

/**
 * Apt uses the system's sources and keys, and the list of installed packages without Redis. It
 * writes only to the work directory.
 */
function aptConfiguration(work: string): string {
  return [
    `Dir::State "${work}/state";`,
    `Dir::State::status "${work}/status";`,
    `Dir::Cache "${work}/cache";`,
    `Debug::NoLocking "true";`,
    // If we are root, apt would fetch as the user _apt, who may not enter our directory.
    `APT::Sandbox::User "root";`,
    `Acquire::Languages "none";`,
    `Acquire::Retries "2";`,
    `Acquire::http::Timeout "20";`,
    `Acquire::https::Timeout "20";`,
    // After an update, hooks of the distribution would clean or index the system's own caches.
    `#clear APT::Update::Post-Invoke;`,
    `#clear APT::Update::Post-Invoke-Success;`,
    "",
  ].join("\n");
}

async function moveIntoPlace(unpacked: string, place: string): Promise<RedisServer> {
  try {
    await rename(unpacked, place);
  } catch (error) {
    const other = await unpackedServer(place);
    if (other !== null) return other;
    if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw error;
    // The program that is there does not run (another architecture, a removed library): replace
    // it.
    await rm(place, { recursive: true, force: true });
    await rename(unpacked, place);
  }
  const installed = await unpackedServer(place);
  if (installed === null) throw new Error(`${place} vanished while it was being installed`);
  return installed;
}

async function executeWith(path: string | undefined, command: string, args: string[]): Promise<void> {
  const env = { ...process.env, PATH: path, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
  try {
    await run(command, args, { env, timeout: COMMAND_TIMEOUT_MS });
  } catch (cause) {
    const { stderr, killed, message } = cause as Error & { stderr?: string; killed?: boolean };
    if (killed) throw new Error(`${command} did not finish within ${COMMAND_TIMEOUT_MS / 1000} s`, { cause });
    const said = stderr?.split("\n").find((line) => line.startsWith("E: ") || line.startsWith("dpkg"));
    throw new Error(said ? `${command}: ${said.replace(/^E: /, "")}` : message, { cause });
  }
}
