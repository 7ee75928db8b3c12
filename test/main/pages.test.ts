// The commands of pages that start a service of their own: copied and pasted, they work.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { testServer } from "../support/redis.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const canFollow = spawnSync("bash", ["-c", "curl --version"]).status === 0;

function blocks(page: string, language: string): string {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))]
    .map(([, block]) => block)
    .join("\n");
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return String(port);
}

/** Follows a page, and gives what it prints. It goes on until `last` is printed, if it is. */
async function follow(page: string, last: RegExp): Promise<string> {
  await testServer();
  const directory = mkdtempSync(join(tmpdir(), "rappel-page-"));
  const [api, receiver] = [await freePort(), await freePort()];
  const there = (text: string) => text.replaceAll("localhost:8080", `localhost:${api}`).replaceAll("9090", receiver);
  writeFileSync(join(directory, "receiver.mjs"), there(blocks(page, "js")));
  const launcher = `exec "${process.execPath}" "${join(root, "src/main.ts")}"`;
  const script = `npm() { ${launcher}; }\n${there(blocks(page, "sh"))}\nwait`;
  const env = { ...process.env, RAPPEL_PORT: api, RAPPEL_DATA_DIR: join(directory, "data") };
  const child = spawn("bash", ["-c", script], {
    cwd: directory,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  // The service and the receiver are in the group of the shell.
  onTestFinished(async () => {
    process.kill(-child.pid!, "SIGTERM");
    await closed;
    rmSync(directory, { recursive: true });
  });
  let printed = "";
  child.stdout.on("data", (text: Buffer) => (printed += text.toString()));
  child.stderr.on("data", (text: Buffer) => (printed += text.toString()));
  await expect.poll(() => printed, { timeout: 60_000 }).toMatch(last);
  return printed;
}

test.skipIf(!canFollow)("keys are made and used as docs/configuration.md says", { timeout: 90_000 }, async () => {
  expect(await follow("docs/configuration.md", /"data":/)).toContain('{"data":[],"has_more":false,"next":null}');
});

test.skipIf(!canFollow)("the receiver in docs/webhooks.md is told of the job's end", { timeout: 90_000 }, async () => {
  expect(await follow("docs/webhooks.md", /^job\.\w+ job_/m)).toMatch(/^job\.succeeded job_\w+-\d+$/m);
});
