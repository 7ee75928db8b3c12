/**
 * The body of a batch. Parsed as a whole, some mebibytes of JSON would hold up the event loop. So
 * the text is cut into its specs, and each is parsed by itself, in slices of a few milliseconds.
 *
 * The specs are what is two brackets deep. In the text around them `[n]` stands for the nth of
 * them. That text is short, and is parsed as a whole. What is an array there is one of these marks,
 * because everything else with a bracket was cut out.
 */
import { z } from "zod";
import { faulty, Problem } from "../contract/errors.ts";
import { check } from "../contract/resolve/faults.ts";
import { MAX_BATCH_JOBS } from "../contract/wire/job-batch.ts";
import { MAX_BODY_BYTES } from "./base.ts";
import { Pace } from "./pace.ts";
import { nestingProblem } from "./plugins/validation.ts";

export const MAX_BATCH_BYTES = 8 * 1024 * 1024;

/** How much text is looked at before others get a turn: some 300 microseconds. */
const SLICE = 65_536;
/** The text around the specs: white space and marks. */
const MAX_REST = 65_536;

/** One spec of a batch: its text and what it says, or why that is not looked at. */
export interface BatchEntry {
  readonly text: string;
  readonly spec: unknown;
  readonly problem: Problem | null;
}

const Envelope = z.strictObject({ jobs: z.array(z.unknown()).min(1).max(MAX_BATCH_JOBS) });

/** @throws Problem if the body is no batch; what is wrong with a single spec is in its entry */
export async function parseBatch(text: string): Promise<BatchEntry[]> {
  if (text === "") throw new Problem("malformed_json", "The body is empty; it must be a batch of jobs in JSON.");
  const pace = new Pace();
  const { parts, rest } = await cut(text, pace);
  const { value, faults } = check(Envelope, parsed(rest, ""));
  if (faults !== null) throw faulty("invalid_spec", faults);
  const entries: BatchEntry[] = [];
  for (const [i, mark] of value.jobs.entries()) {
    await pace.turn();
    entries.push(Array.isArray(mark) ? entryOf(parts[mark[0] as number], i) : entryOf(JSON.stringify(mark), i));
  }
  return entries;
}

function entryOf(text: string, i: number): BatchEntry {
  if (Buffer.byteLength(text) > MAX_BODY_BYTES) {
    const problem = new Problem("too_large", `A spec may have at most ${MAX_BODY_BYTES} bytes.`);
    return { text, spec: null, problem };
  }
  const problem = nestingProblem(text);
  return { text, spec: problem === null ? parsed(text, ` at /jobs/${i}`) : null, problem };
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem("malformed_json", `The body is not JSON${where}: ${(error as SyntaxError).message}.`);
  }
}

async function cut(text: string, pace: Pace): Promise<{ parts: string[]; rest: string }> {
  const parts: string[] = [];
  const rest: string[] = [];
  let depth = 0;
  /** Where the present part, or the rest after the last one, begins. */
  let from = 0;
  let pause = SLICE;
  for (let at = 0; at < text.length; at++) {
    if (at >= pause) {
      await pace.turn();
      pause = at + SLICE;
    }
    const character = text[at];
    if (character === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
    } else if (character === "[" || character === "{") {
      if (depth === 2) {
        rest.push(text.slice(from, at), `[${parts.length}]`);
        from = at;
      }
      depth++;
    } else if (character === "]" || character === "}") {
      depth--;
      if (depth === 2) {
        parts.push(text.slice(from, at + 1));
        from = at + 1;
      }
    }
    if (parts.length > MAX_BATCH_JOBS) throw tooMany();
  }
  if (depth !== 0) throw new Problem("malformed_json", "The body is not JSON: not every bracket in it is closed.");
  rest.push(text.slice(from));
  const joined = rest.join("");
  if (joined.length > MAX_REST) throw tooMany();
  return { parts, rest: joined };
}

function tooMany(): Problem {
  const message = `must be at most ${MAX_BATCH_JOBS} specs, with nothing beside them`;
  return faulty("invalid_spec", [{ pointer: "/jobs", message }]);
}
