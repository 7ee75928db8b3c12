import fc from "fast-check";
import { expect, test } from "vitest";
import { downsample } from "../../src/api/downsample.ts";

const curve = (values: (number | null)[]) => ({ steps: values.map((_, i) => 10 * i), values });
const value = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }), { freq: 10 });

test("a curve that is short enough stays as it is", () => {
  const short = curve([3, 1, 2]);
  expect(downsample(short, 3)).toEqual(short);
});

test("examples of curves", () => {
  const values = [0, 5, 1, 2, 3, -7, 4, 4, 4, 9];
  expect(downsample(curve(values), 6).values).toEqual([0, 5, 1, -7, 4, 9]);
  expect(downsample(curve(values), 4).values).toEqual([0, 5, -7, 9]);
  expect(downsample(curve(values), 3).values).toEqual([-7, 9]);
  expect(downsample(curve([null, null, null, null, null]), 4).values).toEqual([null, null, null]);
});

test("any curve is thinned to few enough of its points, in order, with its extremes and ends", () => {
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 200 }),
      fc.integer({ min: 2, max: 50 }),
      (values, maxPoints) => {
        const whole = curve(values);
        const { steps, values: kept } = downsample(whole, maxPoints);
        expect(steps.length).toBe(kept.length);
        expect(steps.length).toBeLessThanOrEqual(maxPoints);
        expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
        steps.forEach((step, i) => expect(kept[i]).toBe(values[step / 10]));
        const finite = (list: (number | null)[]) => list.filter((v) => v !== null);
        expect(Math.min(...finite(kept))).toBe(Math.min(...finite(values)));
        expect(Math.max(...finite(kept))).toBe(Math.max(...finite(values)));
        if (maxPoints >= 4) expect([steps[0], steps.at(-1)]).toEqual([0, whole.steps.at(-1)]);
        expect(downsample(whole, maxPoints)).toEqual({ steps, values: kept });
      },
    ),
  );
});
