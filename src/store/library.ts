/**
 * The scripts in lua/ as one library of Redis functions. Redis compiles it once and keeps it with
 * the data. A script that came by itself (EVAL) would make all shared functions anew at each call,
 * which takes longer than most scripts do.
 *
 * The names of library and functions contain a hash of the code, so that processes of two versions
 * do not call each other's.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { hashTag } from "./keys.ts";
import * as roomNumbers from "./room-numbers.ts";

/** What the scripts share, in this order. */
const SHARED = [
  "shared/base.lua",
  "shared/room.lua",
  "shared/events.lua",
  "shared/rows.lua",
  "shared/queue.lua",
  "shared/job.lua",
  "shared/begin.lua",
  "shared/call.lua",
];

/** The first line of a script: its flags for Redis. */
const HEAD = /^#!lua(?: flags=([a-z-]+))?\n/;

export const library = read(new URL("lua/", import.meta.url));

function read(directory: URL) {
  const textOf = (file: string) => readFileSync(new URL(file, directory), "utf8");
  const constants = Object.entries({ ...roomNumbers, root: `'${hashTag}'` });
  const scripts = readdirSync(directory).filter((file) => file.endsWith(".lua"));
  const body = [
    ...constants.map(([name, value]) => `local ${name} = ${value}\n`),
    ...SHARED.map(textOf),
    ...scripts.map((file) => registered(file.replace(".lua", ""), textOf(file))),
  ].join("");
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 16);
  const name = `rappel_${hash}`;
  return {
    name,
    anyName: "rappel_*",
    code: `#!lua name=${name}\nlocal SUFFIX = '_${hash}'\n${body}`,
    functionOf: (script: string) => `${script}_${hash}`,
  };
}

/** A script becomes a function that calls of this name run (shared/call.lua). */
function registered(name: string, text: string): string {
  const flags = HEAD.exec(text)![1];
  return `register('${name}', { ${flags ? `'${flags}'` : ""} }, function()\n${text.replace(HEAD, "")}\nend)\n`;
}
