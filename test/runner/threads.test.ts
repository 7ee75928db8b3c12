import { expect, test } from "vitest";
import { Threads } from "../../src/runner/threads.ts";

test("runs share the threads; the last run gets at least one; all come back", () => {
  const threads = new Threads(4);
  const taken = [3, 3, 3].map((wanted) => threads.take(wanted));
  expect({ taken, busy: threads.busy }).toEqual({ taken: [3, 1, 1], busy: 5 });
  for (const count of taken) threads.giveBack(count);
  expect(threads.busy).toBe(0);
  expect(threads.take(9)).toBe(4);
});
