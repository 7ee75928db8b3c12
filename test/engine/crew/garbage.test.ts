import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { collectBeyond, collectNow } from "../../../src/engine/crew/garbage.ts";

const MiB = 2 ** 20;
const used = () => process.memoryUsage().heapUsed;

test("garbage beyond a bound is collected, and less is left alone", async () => {
  collectNow();
  const before = used();
  // Objects that live long enough to be old, and then are garbage.
  let kept: object[] | null = Array.from({ length: 1_000_000 }, (_, i) => ({ i, text: `${i}` }));
  const full = used();
  expect(full - before).toBeGreaterThan(64 * MiB);
  expect(kept.length).toBe(1_000_000);
  kept = null;
  collectBeyond(full + 1024 * MiB);
  expect(used()).toBeGreaterThan(before + 64 * MiB);
  collectBeyond(before + 32 * MiB);
  // V8 itself would look at an idle isolate after some seconds. These turns leave little garbage.
  for (let turn = 0; turn < 300_000 && used() > before + 32 * MiB; turn++) await setImmediate();
  expect(used() - before).toBeLessThan(32 * MiB);
});
