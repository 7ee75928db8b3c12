import { describe, expect, it } from "vitest";
import { learningRate, type Schedule } from "../../../src/engine/schedules/learning-rate.ts";
import { schedules } from "../../../src/engine/schedules/registry.generated.ts";
import { translate } from "../../conformance/names.ts";
import { Bench } from "../../support/kernels.ts";

const { kernels } = new Bench(0);

function rates(type: string, options: object, steps: number, stepsPerEpoch = 1): number[] {
  const { warmup_steps = 0, interval = "step", ...own } = options as { warmup_steps?: number; interval?: string };
  const schedule = { ...translate(schedules, "torch", type, own), warmup_steps, interval } as Schedule;
  return Array.from({ length: steps }, (_, step) => learningRate(kernels, schedule, 0.1, step, stepsPerEpoch));
}

function expectRates(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((rate, t) => expect(Math.abs(rate - expected[t]), `at ${t}`).toBeLessThan(1e-15));
}

describe("schedules", () => {
  it("constant never changes", () => expectRates(rates("constant", {}, 3), [0.1, 0.1, 0.1]));

  it("step drops at every step_size", () =>
    expectRates(rates("step", { step_size: 2, gamma: 0.5 }, 6), [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]));

  it("linear ends at end_factor and stays", () =>
    expectRates(
      rates("linear", { start_factor: 1, end_factor: 0, total_iters: 4 }, 6),
      [0.1, 0.075, 0.05, 0.025, 0, 0],
    ));

  it("linear has PyTorch's defaults: from a third to the whole in five steps", () =>
    expectRates(rates("linear", {}, 7).slice(4), [0.1 * (1 / 3 + (2 / 3) * 0.8), 0.1, 0.1]));

  it("cosine_annealing falls to eta_min at t_max and rises again", () =>
    expectRates(
      rates("cosine_annealing", { t_max: 4, eta_min: 0.02 }, 9).filter((_, t) => t % 2 === 0),
      [0.1, 0.06, 0.02, 0.06, 0.1],
    ));
});

describe("timing", () => {
  it("a warm-up reaches lr with its last step, and the schedule starts after it", () =>
    expectRates(
      rates("step", { step_size: 2, gamma: 0.5, warmup_steps: 4 }, 8),
      [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05],
    ));

  it("a warm-up of one step is none", () =>
    expectRates(rates("linear", { warmup_steps: 1 }, 3).slice(1), rates("linear", {}, 2)));

  it("interval epoch counts whole epochs", () =>
    expectRates(
      rates("step", { step_size: 1, gamma: 0.5, interval: "epoch" }, 7, 3),
      [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025],
    ));

  it("interval epoch counts from the end of the warm-up, which is in steps", () =>
    expectRates(
      rates("step", { step_size: 1, gamma: 0.5, interval: "epoch", warmup_steps: 2 }, 6, 3),
      [0.05, 0.1, 0.1, 0.1, 0.1, 0.05],
    ));
});
