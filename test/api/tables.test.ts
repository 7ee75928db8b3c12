// Every command of docs/tables.md is run, and answers what the comments below it say.
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type Service } from "./service.ts";

const END = "--- end of the answer ---";
const blocks = [...readFileSync("docs/tables.md", "utf8").matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => text);
const canFollow = spawnSync("bash", ["-c", "curl --url-query a=b --version"]).status === 0;

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

/** The commands of a block, each with pieces of its answer. One without answers defines helpers. */
function commandsOf(block: string) {
  return [...block.matchAll(/((?:^[^#].*\n)+)((?:^# .*\n)+)/gm)].map(([, command, comments]) => ({
    command,
    pieces: comments.split("\n").flatMap((line) => line.slice(2).split("…").filter(Boolean)),
  }));
}

test.skipIf(!canFollow)("the answers in docs/tables.md are those of the service", async () => {
  const commands = blocks.flatMap(commandsOf);
  expect(commands.length).toBeGreaterThan(40);
  const { port } = service.app.server.address() as { port: number };
  const script = blocks.flatMap((block) => {
    const found = commandsOf(block);
    return found.length === 0 ? [block] : found.map(({ command }) => `${command}echo; echo '${END}'`);
  });
  const { stdout } = await promisify(execFile)("bash", [
    "-c",
    `set -uo pipefail\n${script.join("\n").replaceAll("localhost:8080", `127.0.0.1:${port}`)}`,
  ]);
  const answers = stdout.split(END);
  const wrong = commands.flatMap(({ command, pieces }, i) => {
    const missing = pieces.find((piece) => !answers[i].includes(piece));
    return missing === undefined ? [] : [{ command, missing, answer: answers[i].trim() }];
  });
  expect(wrong).toEqual([]);
});
