// What README and docs say to type does what they say.
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startService } from "../support/service.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The commands of a page, or of one of its sections, as one script. */
function commandsOf(page: string, section?: string): string {
  const text = readFileSync(join(root, page), "utf8");
  const body = section === undefined ? text : text.split(`\n## ${section}\n`)[1].split("\n## ")[0];
  return [...body.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands).join("\n");
}

/** What the commands of a page print, as lines of comment show it: each a list of parts. */
function answersOf(page: string): string[][] {
  const lines = commandsOf(page).matchAll(/^# (.*)$/gm);
  return [...lines].map(([, line]) => line.replaceAll(/_01m\w…/g, "_ID").split("…"));
}

/** Whether a line has the parts, in their order. */
function shows(line: string, parts: readonly string[]): boolean {
  let at = 0;
  return parts.every((part) => {
    const found = line.indexOf(part, at);
    at = found + part.length;
    return found !== -1;
  });
}

/** Rappel needs neither bash nor curl; who reads the tour does. */
const canFollow = spawnSync("bash", ["-c", "curl --fail-with-body --version"]).status === 0;

test.skipIf(!canFollow)(
  "the quick start, the tour and the command line can be copied and pasted",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "rappel-readme-"));
    const service = await startService({ env: { RAPPEL_DATA_DIR: join(directory, "data"), RAPPEL_LOG_LEVEL: "warn" } });
    try {
      const { address } = await service.ready;
      symlinkSync(join(root, "examples"), join(directory, "examples"));
      const script = [
        "set -euxo pipefail",
        // Each answer ends its line.
        'curl() { command curl --fail-with-body "$@" || return; echo; }',
        `npx() { [ "$1" = rappel ] && shift && node ${join(root, "scripts/rappel.mjs")} "$@"; }`,
        commandsOf("README.md", "Quick start"),
        commandsOf("docs/tour.md"),
        commandsOf("docs/command-line.md"),
      ];
      const commands = script.join("\n").replaceAll("localhost:8080", new URL(address!).host);
      const env = { ...process.env, RAPPEL_API_URL: address! };
      const run = promisify(execFile)("bash", ["-c", commands], { cwd: directory, env, timeout: 170_000 });
      const { stdout } = await run.catch((error: { stdout: string; stderr: string }) => {
        throw new Error(`${error.stdout.slice(-3000)}\n${error.stderr.slice(-3000)}`);
      });
      const answers = answersOf("docs/tour.md");
      expect(answers.length).toBeGreaterThan(5);
      const lines = stdout.replaceAll(/_[0-9a-z]{26}/g, "_ID").split("\n");
      expect(answers.filter((parts) => !lines.some((line) => shows(line, parts)))).toEqual([]);
      expect(stdout).toContain("event: succeeded");
      for (const file of ["iris.safetensors", "moons.safetensors"]) {
        expect(readFileSync(join(directory, file)).includes("0.weight")).toBe(true);
      }
    } finally {
      await service.stop();
      rmSync(directory, { recursive: true });
    }
  },
  180_000,
);
