import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findServer } from "../../src/redis/find.ts";
import { installFromDebian } from "../../src/redis/install.ts";
import { StartFailure } from "../../src/start-failure.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "rappel-find-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A program that always answers with one line. */
function program(folder: string, name: string, line: string): string {
  mkdirSync(join(directory, folder), { recursive: true });
  const file = join(directory, folder, name);
  writeFileSync(file, `#!/bin/sh\necho '${line}'\n`);
  chmodSync(file, 0o755);
  return file;
}

const redis = (version: string) => `Redis server v=${version} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0`;

function find(install: "auto" | "never", ...folders: string[]) {
  const path = folders.map((folder) => join(directory, folder)).join(":");
  return findServer({ toolsDirectory: join(directory, "tools"), install, log: pino({ level: "silent" }), path });
}

test("a server on PATH that is recent enough is used", async () => {
  const command = program("bin", "redis-server", redis("7.2.4"));
  expect(await find("never", "empty", "bin")).toEqual({ command, version: "7.2.4", libraryPath: null });
});

test("Valkey is used where Redis is too old", async () => {
  program("bin", "redis-server", redis("6.0.16"));
  const command = program("bin", "valkey-server", "Valkey server v=8.1.1 sha=00000000:0 bits=64");
  expect(await find("never", "bin")).toMatchObject({ command, version: "8.1.1" });
});

test("a server fetched earlier is used before another is fetched", async () => {
  mkdirSync(join(directory, "tools/redis/usr/lib/x86_64-linux-gnu"), { recursive: true });
  const command = program("tools/redis/usr/bin", "redis-server", redis("7.0.15"));
  const libraryPath = join(directory, "tools/redis/usr/lib/x86_64-linux-gnu");
  expect(await find("never", "empty")).toEqual({ command, version: "7.0.15", libraryPath });
});

test("a server fetched earlier is not used if it is too old by now", async () => {
  program("tools/redis/usr/bin", "redis-server", redis("6.0.16"));
  await expect(find("never", "empty")).rejects.toThrow("found none on PATH");
});

test.each([
  ["apt-get", 'type "sudo apt-get install redis-server"'],
  ["dnf", 'type "sudo dnf install valkey"'],
  ["apk", 'type "sudo apk add redis"'],
  ["brew", 'type "brew install redis"'],
  ["something-else", "install it, or set REDIS_URL"],
])("without a server, and with %s, the refusal says what to type", async (manager, words) => {
  program("bin", manager, "");
  const failure = await find("never", "bin").catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StartFailure);
  expect((failure as Error).message).toContain(words);
  expect((failure as Error).message).toContain("found none on PATH");
  expect((failure as Error).message).toContain("RAPPEL_INSTALL=never");
});

test("a server that is too old is named", async () => {
  const command = program("bin", "redis-server", redis("6.0.16"));
  await expect(find("auto", "bin")).rejects.toThrow(
    `Rappel needs Redis 7 or later (or Valkey) and ${command} is 6.0.16`,
  );
});

test("if fetching fails, the message of apt is passed on, and nothing incomplete is left", async () => {
  program("bin", "dpkg-deb", "");
  const apt = program("bin", "apt-get", "");
  writeFileSync(apt, "#!/bin/sh\necho 'E: Unable to locate package redis-server' >&2\nexit 100\n");
  await expect(find("auto", "bin")).rejects.toThrow("failed: apt-get: Unable to locate package redis-server).");
  expect(readdirSync(join(directory, "tools"))).toEqual([]);
});

const onDebian = process.platform === "linux" && (await hasApt());

async function hasApt(): Promise<boolean> {
  const child = spawn("apt-get", ["--version"], { stdio: "ignore" });
  return await once(child, "exit").then(
    ([code]) => code === 0,
    () => false,
  );
}

/** A list of installed packages with these. */
function statusWith(...packages: string[]): string {
  const file = join(directory, "status");
  const entries = packages.map(
    (name) =>
      `\nPackage: ${name}\nStatus: install ok installed\nMaintainer: M\nArchitecture: all\nVersion: 99:1\nDescription: d\n`,
  );
  writeFileSync(file, readFileSync("/var/lib/dpkg/status", "utf8") + entries.join(""));
  return file;
}

test.runIf(onDebian)(
  "two processes fetch a server at the same time, although apt already has parts of it",
  async () => {
    const tools = join(directory, "tools");
    const [one, two] = await Promise.all([
      installFromDebian(tools, process.env.PATH, statusWith("redis-tools", "redis-server")),
      installFromDebian(tools),
    ]);
    expect(one).toEqual(two);
    expect(one.command).toBe(join(tools, "redis/usr/bin/redis-server"));
    expect(readdirSync(tools)).toEqual(["redis"]);
  },
);

test.runIf(onDebian && process.getuid?.() === 0)("a user without privileges can fetch a server", async () => {
  const nobody = 65534;
  chmodSync(directory, 0o755);
  const tools = join(directory, "tools");
  mkdirSync(tools);
  chownSync(tools, nobody, nobody);
  const script = `const { installFromDebian } = await import(${JSON.stringify(new URL("../../src/redis/install.ts", import.meta.url).href)});
    console.log((await installFromDebian(${JSON.stringify(tools)})).version);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    uid: nobody,
    gid: nobody,
    cwd: "/",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output = await child.stdout.toArray();
  expect(Buffer.concat(output).toString()).toMatch(/^\d+\.\d+\.\d+\n$/);
});
