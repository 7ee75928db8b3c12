import { expect, test } from "vitest";
import { scoreOf } from "../../src/runner/checkpoints.ts";

test("the best state has the least score, whichever way its metric goes", () => {
  const rising = { metric: "valid_accuracy", mode: "max" } as const;
  const falling = { metric: "valid_mae", mode: "min" } as const;
  const best = (metrics: Record<string, number>[], rule: Parameters<typeof scoreOf>[1]) =>
    metrics.map((each) => scoreOf(each, rule)!).reduce((least, score, i, all) => (score < all[least] ? i : least), 0);
  const metrics = [
    { valid_loss: 2, valid_accuracy: 0.5, valid_mae: 7 },
    { valid_loss: 3, valid_accuracy: 0.9, valid_mae: 6 },
    { valid_loss: 1, valid_accuracy: 0.7, valid_mae: 5 },
    { valid_loss: 4, valid_accuracy: 0.6, valid_mae: 8 },
  ];
  expect(best(metrics, rising)).toBe(1);
  expect(best(metrics, falling)).toBe(2);
  expect(best(metrics, null)).toBe(2);
});

test("a state without the metric, or with one that is not finite, has no score", () => {
  const rule = { metric: "valid_r2", mode: "max" } as const;
  const without: Record<string, number>[] = [{ valid_loss: 1 }, { valid_r2: NaN }, { valid_r2: -Infinity }];
  expect(without.map((each) => scoreOf(each, rule))).toEqual([null, null, null]);
  expect(scoreOf({ valid_loss: Infinity }, null)).toBeNull();
});
