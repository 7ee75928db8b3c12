import { expect, test } from "vitest";
import type { Spec } from "../../../src/contract/schema/spec.ts";
import { watchedMetrics } from "../../../src/contract/schema/watched.ts";

function watched(parts: object): [string, string][] {
  return watchedMetrics(parts as Partial<Spec>).map(({ metric, by }) => [metric, by]);
}

const stopping = { training: { early_stopping: { metric: "valid_accuracy" } } };
const keeping = { checkpoint: { keep_best: true } };
const following = (metric: string) => ({ schedule: { type: "reduce_on_plateau", metric } });

test("the best weights are those of early stopping's metric if there is one, else of the loss", () => {
  expect(watched(stopping)).toEqual([["valid_accuracy", "early stopping"]]);
  expect(watched({ ...stopping, ...keeping })).toEqual([["valid_accuracy", "early stopping"]]);
  expect(watched({ training: { early_stopping: null }, ...keeping })).toEqual([["valid_loss", "keep_best"]]);
  expect(watched({ checkpoint: { keep_best: false } })).toEqual([]);
});

test("pruning watches its metric beside what others watch", () => {
  const pruning = { training: { early_stopping: null, pruning: { metric: "valid_auc" } }, ...keeping };
  expect(watched(pruning)).toEqual([
    ["valid_loss", "keep_best"],
    ["valid_auc", "pruning"],
  ]);
});

test("a schedule that follows the train loss needs no evaluation", () => {
  expect(watched({ ...stopping, ...following("valid_loss") })).toEqual([
    ["valid_accuracy", "early stopping"],
    ["valid_loss", "the schedule"],
  ]);
  expect(watched(following("train_loss"))).toEqual([]);
  expect(watched({ schedule: { type: "constant" } })).toEqual([]);
});
