#!/usr/bin/env node
// Compiles the native kernels (native/) into native/build/rappel.node, if there is a C compiler:
// $CC, or else cc. `npm ci` runs it. It downloads nothing. Where it cannot build, it says why in
// one line and succeeds, because WebAssembly's kernels give the same results. With --required it
// fails then. npm also runs it before the first `npx rappel`, so it keeps what was built from the
// same sources; --required always builds.
//
// Plain JavaScript for Node 20, like run.mjs.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const source = fileURLToPath(new URL("../native/", import.meta.url));
const build = join(source, "build");
const compiler = process.env.CC || "cc";

/** No operation may be merged with another, or left out, or done in another order. */
const EXACT = ["-O2", "-ffp-contract=off", "-fno-fast-math", "-fwrapv", "-fno-strict-aliasing", "-fPIC", "-w"];

/** For each processor the sets of instructions that it may have, with the options for each. */
const PROCESSORS = {
  x64: {
    avx2: ["-mavx2", "-mfma"],
    avx512: ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
  },
  // A product's tile fills the registers. GCC would load too much too early, and spill sums.
  arm64: { neon: ["-fno-schedule-insns"] },
};
const sets = PROCESSORS[process.arch];

/** A name for the sources, as scripts/native-kernels.ts finds it. */
function face() {
  const names = readdirSync(source).filter((name) => /\.[ch]$/.test(name));
  const written = names.filter((name) => !name.includes(".generated.")).sort();
  const generated = names.filter((name) => name.includes(".generated.")).sort();
  const hash = createHash("sha256");
  for (const name of [...written, ...generated]) hash.update(readFileSync(join(source, name)));
  return hash.digest("hex").slice(0, 16);
}

/** Whether there is an addon, from these sources. */
function loads(addon) {
  try {
    return createRequire(import.meta.url)(addon).face === face();
  } catch {
    return false;
  }
}

/** Why nothing can be built here; null if it can. */
async function obstacle() {
  if (sets === undefined) return `there are none for ${process.arch} yet`;
  if (process.platform === "win32") return "they are not built on Windows";
  if (!existsSync(join(source, "addon.c"))) return "their sources are not here";
  try {
    await run(compiler, ["--version"]);
    return null;
  } catch {
    return `there is no C compiler (${compiler})`;
  }
}

async function compile() {
  mkdirSync(build, { recursive: true });
  const work = mkdtempSync(join(build, "work-"));
  const headers = createRequire(import.meta.url)("node-api-headers").include_dir;
  const compiled = (file, object, options) =>
    run(compiler, [...EXACT, ...options, "-c", join(source, file), "-o", join(work, object)]);
  try {
    await Promise.all([
      compiled("addon.c", "addon.o", [`-I${headers}`, `-DFACE="${face()}"`]),
      ...Object.entries(sets).map(([set, options]) =>
        compiled("kernels.c", `${set}.o`, [...options, `-DCALLS=calls_${set}`]),
      ),
    ]);
    const objects = ["addon", ...Object.keys(sets)].map((name) => join(work, `${name}.o`));
    const addon = join(work, "rappel.node");
    // Node itself defines the functions of N-API.
    const link = process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared"];
    await run(compiler, [...link, ...objects, "-o", addon]);
    if (!loads(addon)) throw new Error("what it built does not load");
    renameSync(addon, join(build, "rappel.node"));
  } finally {
    rmSync(work, { recursive: true });
  }
}

const required = process.argv.includes("--required");
let why = await obstacle();
if (why === null && (required || !loads(join(build, "rappel.node")))) {
  try {
    await compile();
  } catch (error) {
    why = `${compiler} failed: ${
      String(error.stderr || error.message)
        .trim()
        .split("\n")[0]
    }`;
  }
}
if (why === null) process.stdout.write("Rappel's native kernels are built.\n");
else
  process.stdout.write(`Rappel's native kernels are not built: ${why}. It runs without them, with the same results.\n`);
if (why !== null && required) process.exitCode = 1;
