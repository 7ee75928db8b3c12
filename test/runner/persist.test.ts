// Which calls are repeated, and for how long.
import { pino } from "pino";
import { expect, test } from "vitest";
import { persist, persistUpload } from "../../src/runner/persist.ts";
import { Incomplete, LeaseLost, Unavailable } from "../../src/store/errors.ts";

const log = pino({ level: "silent" });
const gone = new AbortController();
const life = { gone: gone.signal, log };

/** A call that fails with each of these in turn, and then works. */
function failing(...errors: Error[]): () => Promise<string> {
  return async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return "done";
  };
}

const away = () => new Unavailable("Redis cannot be reached");
const full = () => new Unavailable("Redis refuses: OOM", { full: true });
const expired = () => new Incomplete("what was uploaded has expired");

test("a call is repeated while Redis is away, but not if Redis is full or the call fails for another reason", async () => {
  expect(await persist(life, failing(away(), away()))).toBe("done");
  await expect(persist(life, failing(away(), full()))).rejects.toThrow("OOM");
  await expect(persist(life, failing(new LeaseLost("gone")))).rejects.toThrow("gone");
  await expect(persist(life, failing(expired()))).rejects.toThrow("expired");
});

test("an upload that expired is repeated; after another failure it is not", async () => {
  expect(await persistUpload(life, failing(expired(), expired()))).toBe("done");
  await expect(persistUpload(life, failing(away()))).rejects.toThrow("cannot be reached");
});

test("nothing is repeated after the run has lost its right to write", async () => {
  const ended = new AbortController();
  const call = async () => {
    ended.abort(new LeaseLost("taken over"));
    throw away();
  };
  await expect(persist({ gone: ended.signal, log }, call)).rejects.toThrow("taken over");
});
