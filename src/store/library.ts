/**
 * The scripts in lua/ as one library of Redis functions. Redis compiles it once and keeps it with
 * the data. A script that came by itself (EVAL) would make all shared functions anew at each call,
 * which takes longer than most scripts do.
 *
 * A Redis that is full takes no library. Then a script comes by itself after all, so that jobs can
 * be deleted.
 *
 * The names of library and functions contain a hash of the code, so that processes of two versions
 * do not call each other's.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { hashTag } from "./keys.ts";
import * as roomNumbers from "./room-numbers.ts";
import { WORK_BYTES, workFields } from "./work.ts";

/** What the scripts share, in this order. */
const SHARED = [
  "shared/base.lua",
  "shared/room.lua",
  "shared/events.lua",
  "shared/rows.lua",
  "shared/queue.lua",
  "shared/job.lua",
  "shared/set.lua",
  "shared/begin.lua",
  "shared/study.lua",
  "shared/call.lua",
];

/** The first line of a script: its flags for Redis. */
const HEAD = /^#!lua(?: flags=([a-z-]+))?\n/;

export const library = read(new URL("lua/", import.meta.url));

function read(directory: URL) {
  const textOf = (file: string) => readFileSync(new URL(file, directory), "utf8");
  const constants = [
    ...Object.entries(roomNumbers),
    ["root", `'${hashTag}'`],
    ["WORK_FIELDS", `{ '${workFields.join("', '")}' }`],
    ["WORK_BYTES", WORK_BYTES],
  ];
  const scripts = readdirSync(directory).filter((file) => file.endsWith(".lua"));
  const body = [
    ...constants.map(([name, value]) => `local ${name} = ${value}\n`),
    ...SHARED.map(textOf),
    ...scripts.map((file) => registered(file.replace(".lua", ""), textOf(file))),
  ].join("");
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 16);
  const name = `rappel_${hash}`;
  const flags = new Map(scripts.map((file) => [file.replace(".lua", ""), HEAD.exec(textOf(file))![0].trimEnd()]));
  return {
    name,
    anyName: "rappel_*",
    code: `#!lua name=${name}\nlocal SUFFIX, register_function = '_${hash}', redis.register_function\n${body}`,
    functionOf: (script: string) => `${script}_${hash}`,
    /** The code of one script. */
    scriptOf: (script: string) => `${flags.get(script)!}\n${alone(script)}${body}\nreturn only(given, arguments)`,
  };
}

/** Of all scripts that are registered only this one is kept. */
function alone(script: string): string {
  return `local given, arguments, SUFFIX, only = KEYS, ARGV, ''
local function register_function(each)
  if each.function_name == '${script}' then only = each.callback end
end
`;
}

/** A script becomes a function that calls of this name run (shared/call.lua). */
function registered(name: string, text: string): string {
  const flags = HEAD.exec(text)![1];
  return `register('${name}', { ${flags ? `'${flags}'` : ""} }, function()\n${text.replace(HEAD, "")}\nend)\n`;
}
