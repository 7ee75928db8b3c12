import { expect, test } from "vitest";
import { Standstill, StageWatch } from "../../src/runner/standstill.ts";

/** Takes counts at these seconds, and returns what it says at the last one. */
function after(...takes: [seconds: number, count: number | "held"][]): number | null {
  const standstill = new Standstill();
  for (const [seconds, count] of takes) {
    if (count === "held") standstill.rest(seconds * 1000);
    else standstill.take(count, seconds * 1000);
  }
  return standstill.stillSeconds(takes.at(-1)![0] * 1000);
}

test("a crew that moves is alive; one that has not moved for half a minute stands still", () => {
  expect(new Standstill().stillSeconds()).toBeNull();
  expect(after([0, 5], [1, 6], [31, 6])).toBeNull();
  expect(after([0, 5], [1, 6], [32, 6])).toBe(31);
  expect(after([0, 5], [1, 6], [32, 6], [33, 7])).toBeNull();
});

test("a crew has ten minutes for its first step, and then ten times its longest pause", () => {
  expect(after([0, 0], [599, 0])).toBeNull();
  expect(after([0, 0], [601, 0])).toBe(601);
  expect(after([0, 0], [50, 1], [549, 1])).toBeNull();
  expect(after([0, 0], [50, 1], [551, 1])).toBe(501);
});

test("a crew that is held does not count as standing still", () => {
  expect(after([0, 5], [1, 6], [100, "held"], [129, 6])).toBeNull();
  expect(after([0, 5], [1, 6], [100, "held"], [131, 6])).toBe(31);
});

test("a run is watched in each stage by what moves in it", () => {
  let count = 0;
  let away = false;
  const now = performance.now();
  const watch = new StageWatch(
    "preparing",
    () => count,
    () => away,
  );
  const at = (seconds: number) => {
    watch.take(now + seconds * 1000);
    return watch.still("job_1", now + seconds * 1000);
  };
  expect(at(599)).toBeNull();
  count++;
  expect(at(700)).toBeNull();
  expect(at(1299)).toBeNull();
  expect(at(1301)).toBe("the preparation of job_1 has stood still for 601 seconds");

  let steps = 0;
  watch.enter("training", () => steps, now + 2000_000);
  steps++;
  expect(at(2001)).toBeNull();
  expect(at(2040)).toBe("the crew of job_1 has stood still for 39 seconds");

  watch.enter("ending", () => count, now + 3000_000);
  expect(at(3119)).toBeNull();
  expect(at(3121)).toBe("the ending of job_1 has stood still for 121 seconds");
  away = true;
  expect(at(3130)).toBeNull();
  away = false;
  expect(at(3249)).toBeNull();
  expect(at(3251)).toBe("the ending of job_1 has stood still for 121 seconds");
  watch.close();
});
