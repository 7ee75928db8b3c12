// What the README says to type does what it says.
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startService } from "../support/service.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The commands of a section, as one script. */
function commandsOf(section: string): string {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const [body] = text.split(`\n## ${section}\n`)[1].split("\n## ");
  return [...body.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands).join("\n");
}

/** Rappel needs neither bash nor curl; who reads the tour does. */
const canFollow = spawnSync("bash", ["-c", "curl --fail-with-body --version"]).status === 0;

test.skipIf(!canFollow)("the tour with curl and the one with the command line can be copied and pasted", async () => {
  const directory = mkdtempSync(join(tmpdir(), "rappel-readme-"));
  const service = await startService({ env: { RAPPEL_DATA_DIR: join(directory, "data"), RAPPEL_LOG_LEVEL: "warn" } });
  try {
    const { address } = await service.ready;
    symlinkSync(join(root, "examples"), join(directory, "examples"));
    const script = [
      "set -euxo pipefail",
      'curl() { command curl --fail-with-body "$@"; }',
      `npx() { [ "$1" = rappel ] && shift && node ${join(root, "scripts/rappel.mjs")} "$@"; }`,
      commandsOf("A tour with curl"),
      commandsOf("The same from the command line"),
    ];
    const commands = script.join("\n").replaceAll("localhost:8080", new URL(address!).host);
    const env = { ...process.env, RAPPEL_API_URL: address! };
    const run = promisify(execFile)("bash", ["-c", commands], { cwd: directory, env, timeout: 50_000 });
    const { stdout } = await run.catch((error: { stdout: string; stderr: string }) => {
      throw new Error(`${error.stdout.slice(-3000)}\n${error.stderr.slice(-3000)}`);
    });
    expect(stdout).toContain('"valid":true');
    expect(stdout).toContain("event: succeeded");
    for (const file of ["iris.safetensors", "moons.safetensors"]) {
      expect(readFileSync(join(directory, file)).includes("0.weight")).toBe(true);
    }
  } finally {
    await service.stop();
    rmSync(directory, { recursive: true });
  }
});
