// Strips the types of our TypeScript once, and keeps the result in a cache.
//
// Node strips them by itself too, but in each thread again: this costs a thread 12 MB of memory and
// 150 ms of CPU time. Programs get this file by `--import` (run.mjs), and hand it on to their
// threads. Lines and columns stay as they are in the source, and so does the name of the file.
//
// Each file of the cache begins with a hash of what it was made from and of the code. One that does
// not match, or was cut off, is made again. If the cache cannot be written, as in an image, what it
// lacks is left to Node. `node scripts/strip-types.mjs` fills it.
//
// Only Node 24.12 and later ones, but not 25, get a hook. Where one is registered, Node 22 and the
// first versions of 24 fail to load some CommonJS packages, so they strip the types by themselves.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import module from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { threadId } from "node:worker_threads";

const root = new URL("../", import.meta.url).href;
const cache = new URL("node_modules/.cache/rappel/", root);
const HASH_LENGTH = 64;

/** The file without its types, or null if the cache lacks it and cannot be written. */
function stripped(url) {
  const source = readFileSync(new URL(url));
  const path = fileURLToPath(new URL(`${url.slice(root.length)}.js`, cache));
  return kept(path, source) ?? make(source, path);
}

function hashOf(source, code) {
  return createHash("sha256").update(process.version).update(source).update(code).digest("hex");
}

function kept(path, source) {
  try {
    const file = readFileSync(path);
    const code = file.subarray(HASH_LENGTH);
    return file.toString("latin1", 0, HASH_LENGTH) === hashOf(source, code) ? code : null;
  } catch {
    return null;
  }
}

function make(source, path) {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const code = module.stripTypeScriptTypes(source.toString());
    // Other threads and processes may make the same file.
    const temporary = `${path}.${process.pid}.${threadId}`;
    writeFileSync(temporary, hashOf(source, code) + code);
    renameSync(temporary, path);
    return code;
  } catch {
    // The disk may be full or read-only, or the source wrong. Node will tell which.
    return null;
  }
}

/** Whether the file is one of ours. */
const isOurs = (url) => url.startsWith(root) && url.endsWith(".ts") && !url.includes("/node_modules/");

function takesHooks() {
  const [major, minor] = process.version.slice(1).split(".").map(Number);
  return major > 25 || (major === 24 && minor >= 12);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const path of readdirSync(new URL("src", root), { recursive: true, encoding: "utf8" })) {
    const { href } = new URL(`src/${path}`, root);
    if (isOurs(href) && !href.endsWith(".as.ts")) stripped(href);
  }
} else if (takesHooks()) {
  module.registerHooks({
    load(url, context, nextLoad) {
      const source = isOurs(url) ? stripped(url) : null;
      return source === null ? nextLoad(url, context) : { format: "module", source, shortCircuit: true };
    },
  });
}
