/**
 * The house style, as far as a program can see it: lines that fit, files that can be read at one
 * sitting, plain words. What is generated or copied is left alone.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { describe, expect, test } from "vitest";

const MAX_COLUMNS = 100;
const MAX_LINES = 400;

/** What is generated, copied, or not ours; `data` is where a service here keeps its files. */
const SKIPPED = new Set([
  "node_modules",
  ".git",
  "data",
  "test/golden",
  "openapi.yaml",
  "docs/catalogue.md",
  "package-lock.json",
  "LICENSE",
]);
/** The name of a file, with or without its folders. Names with a variable part are none. */
const CODE_FILE = /(?<![\w<>*{}/.-])[\w./-]*\w(?<!\.generated)\.(?:ts|mjs|lua)\b/g;
const READ = new Set([".ts", ".mjs", ".lua", ".md", ".yml", ".yaml", ""]);

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (SKIPPED.has(path) || entry.name.includes(".generated.")) return [];
    return entry.isDirectory() ? filesBelow(path) : READ.has(extname(entry.name)) ? [path] : [];
  });
}

const files = filesBelow(".").map((path) => ({ path, lines: readFileSync(path, "utf8").split("\n") }));

/** Whether a line is a comment as a whole, or prose. */
function isProse(path: string, lines: readonly string[], at: number): boolean {
  const line = lines[at].trim();
  if (path.endsWith(".md")) return !line.startsWith("|") && !isCode(lines, at);
  const marks = /\.(ts|mjs)$/.test(path) ? /^(\/\/|\/?\*)/ : /^(--|#)/;
  return marks.test(line);
}

function isCode(lines: readonly string[], at: number): boolean {
  const fences = lines.slice(0, at).filter((line) => line.trim().startsWith("```")).length;
  return fences % 2 === 1;
}

function places(find: (path: string, lines: readonly string[], at: number) => boolean): string[] {
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((_, at) => (find(path, lines, at) ? [`${path}:${at + 1}`] : [])),
  );
}

test("comments, prose and Lua fit in 100 columns", () => {
  const counts = (path: string, lines: readonly string[], at: number) =>
    path.endsWith(".lua") || isProse(path, lines, at);
  const long = places((path, lines, at) => lines[at].length > MAX_COLUMNS && counts(path, lines, at));
  expect(long).toEqual([]);
});

test("docs name files that are there", () => {
  const pages = files.filter(({ path }) => path.endsWith(".md"));
  const named = pages.flatMap(({ path, lines }) =>
    [...lines.join("\n").matchAll(/`((?:src|test|docs|scripts|examples|bench|deploy)\/[\w./-]+)`/g)].map(
      ([, file]) => ({ path, file }),
    ),
  );
  expect(named.filter(({ file }) => !existsSync(file))).toEqual([]);
});

test("comments name files of the code that are there", () => {
  const isThere = (name: string) => files.some(({ path }) => `/${path}`.endsWith(`/${name.replace(/^\W+/, "")}`));
  const gone = files.flatMap(({ path, lines }) =>
    lines
      .flatMap((line, at) => (path.endsWith(".md") || !isProse(path, lines, at) ? [] : (line.match(CODE_FILE) ?? [])))
      .filter((name) => !isThere(name))
      .map((name) => `${path}: ${name}`),
  );
  expect(gone).toEqual([]);
});

test("no file of code has more than 400 lines", () => {
  const long = files.filter(({ path, lines }) => /\.(ts|mjs|lua)$/.test(path) && lines.length > MAX_LINES + 1);
  expect(long.map(({ path, lines }) => `${path}: ${lines.length - 1}`)).toEqual([]);
});

/** Words that are longer or older than what they say, and those that say nothing. */
const BANNED = [
  "aforementioned",
  "albeit",
  "hence",
  "henceforth",
  "hereby",
  "herein",
  "hitherto",
  "in vain",
  "inVain",
  "lest",
  "leverage",
  "notwithstanding",
  "obviously",
  "simply",
  "thereby",
  "therein",
  "thereof",
  "thusly",
  "upon",
  "utilise",
  "utilize",
  "whence",
  "whereby",
  "wherein",
  "whilst",
];

describe("plain words", () => {
  test.each(BANNED)("nobody writes %s", (word) => {
    const pattern = new RegExp(`\\b${word}\\b`, "i");
    expect(places((path, lines, at) => path !== "test/tidy.test.ts" && pattern.test(lines[at]))).toEqual([]);
  });
});
