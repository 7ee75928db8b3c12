// Types are stripped once, and the cache of it never shows.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { nodeArguments, nodeEnvironment } from "../../scripts/node-arguments.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A project of one program. `run` prints what the program writes to stdout and stderr. */
function project() {
  const directory = mkdtempSync(join(tmpdir(), "rappel-types-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const at = (path: string) => join(directory, path);
  for (const name of ["scripts", "src", "node_modules"]) mkdirSync(at(name));
  cpSync(join(root, "scripts/strip-types.mjs"), at("scripts/strip-types.mjs"));
  writeFileSync(at("package.json"), '{ "type": "module" }');
  const hook = ["--disable-warning=ExperimentalWarning", `--import=${at("scripts/strip-types.mjs")}`];
  const run = (...options: string[]) => {
    const all = [...options, ...hook, at("src/main.ts")];
    const { stdout, stderr } = spawnSync(process.execPath, all, { encoding: "utf8" });
    return stdout + stderr;
  };
  return { at, run, write: (text: string) => writeFileSync(at("src/main.ts"), text) };
}

const program = `import { isMainThread, Worker } from "node:worker_threads";
interface Named { readonly name: string }
const named = { name: isMainThread ? "main" : "thread" } satisfies Named;
console.log(named.name as string);
if (isMainThread) new Worker(new URL(import.meta.url));
`;

test("a program and its threads run from the cache, and a changed source does not", () => {
  const { at, run, write } = project();
  write(program);
  expect(run()).toBe("main\nthread\n");
  const path = at("node_modules/.cache/rappel/src/main.ts.js");
  const cached = readFileSync(path, "utf8");
  expect(cached).not.toContain("interface");
  const other = cached.slice(64).replace("console.log(", "console.log('cached', ");
  const hash = createHash("sha256")
    .update(process.version + program + other)
    .digest("hex");
  writeFileSync(path, hash + other);
  expect(run()).toBe("cached main\ncached thread\n");
  for (const version of ["v22.18.0", "v24.11.0", "v25.1.0"]) {
    const pretended = `Object.defineProperty(process, "version", { value: "${version}" })`;
    const option = `--import=data:text/javascript,${encodeURIComponent(pretended)}`;
    expect(run(option), version).toBe("main\nthread\n");
  }
  write(program.replace('"main"', '"changed"'));
  expect(run()).toBe("changed\nthread\n");
});

test.each([0, 40, 64, 100, 150])("a cached file that is cut off after %i bytes is made again", (bytes) => {
  const { at, run, write } = project();
  write(program);
  expect(run()).toBe("main\nthread\n");
  const path = at("node_modules/.cache/rappel/src/main.ts.js");
  const cached = readFileSync(path, "utf8");
  writeFileSync(path, cached.slice(0, bytes));
  expect(run()).toBe("main\nthread\n");
  expect(readFileSync(path, "utf8")).toBe(cached);
});

test("errors name the lines and columns of the source", () => {
  const { at, run, write } = project();
  write('type Long = {\n  name: string;\n};\nconst one: Long = { name: "" }; throw new Error(one.name);\n');
  // The first run makes the cache, and the second one reads it.
  for (let i = 0; i < 2; i++) expect(run()).toContain(`${at("src/main.ts")}:4:39`);
});

test("without a place for the cache, and with a wrong source, Node does what it does", () => {
  const { at, run, write } = project();
  writeFileSync(at("node_modules/.cache"), "");
  write(program);
  expect(run()).toBe("main\nthread\n");
  write("const wrong: = 1;");
  expect(run()).toContain("SyntaxError");
});

test("the image starts the service as the launcher does", () => {
  const dockerfile = readFileSync(join(root, "Dockerfile"), "utf8").replaceAll(/\\\n\s*/g, "");
  const command = JSON.parse(/^CMD (\[.*\])$/m.exec(dockerfile)![1]) as string[];
  const own = nodeArguments.map((argument) => argument.replace(new URL("../../", import.meta.url).href, "./"));
  expect(command).toEqual(["node", ...own, "src/main.ts"]);
  for (const [name, value] of Object.entries(nodeEnvironment)) expect(dockerfile).toMatch(` ${name}=${value}`);
});
