import { describe, expect, it } from "vitest";
import { withDefaults } from "../../../src/engine/member/options.ts";
import { checkSchedule } from "../../../src/engine/schedules/check.ts";
import { rateAt, scheduleType } from "../../../src/engine/schedules/learning-rate.ts";
import type { ScheduleState } from "../../../src/engine/schedules/schedule.ts";
import { schedules } from "../../../src/engine/schedules/registry.generated.ts";
import { translate } from "../../conformance/names.ts";
import { Bench } from "../../support/kernels.ts";
import type { Member, Schedule } from "../../../src/engine/settings.ts";

const { kernels } = new Bench(0);

function rates(type: string, options: object, steps: number, stepsPerEpoch = 1): number[] {
  const { warmup_steps = 0, interval = "step", ...own } = options as { warmup_steps?: number; interval?: string };
  const schedule = { ...translate(schedules, "torch", type, own), warmup_steps, interval } as Schedule;
  return Array.from(
    { length: steps },
    (_, step) => rateAt(kernels, schedule, 0.1, { step, stepsPerEpoch, state: null }).lr,
  );
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

  it("linear goes from a third of lr to lr by default, as in PyTorch", () =>
    expectRates(rates("linear", { total_iters: 5 }, 7).slice(4), [0.1 * (1 / 3 + (2 / 3) * 0.8), 0.1, 0.1]));

  it("cosine_annealing falls to eta_min at t_max and rises again", () =>
    expectRates(
      rates("cosine_annealing", { t_max: 4, eta_min: 0.02 }, 9).filter((_, t) => t % 2 === 0),
      [0.1, 0.06, 0.02, 0.06, 0.1],
    ));
});

describe("further schedules", () => {
  it.each<[string, object, number[]]>([
    ["multi_step", { milestones: [3, 1, 3], gamma: 0.5 }, [0.1, 0.05, 0.05, 0.0125, 0.0125]],
    ["constant_factor", { factor: 0.5, total_iters: 2 }, [0.05, 0.05, 0.1, 0.1]],
    ["exponential", { gamma: 0.5 }, [0.1, 0.05, 0.025]],
    ["multiplicative", { factor: 0.5 }, [0.1, 0.05, 0.025]],
    ["polynomial", { total_iters: 4, power: 2 }, [0.1, 0.05625, 0.025, 0.00625, 0, 0]],
    ["cosine_annealing_warm_restarts", { t_0: 1, t_mult: 2 }, [0.1, 0.1, 0.05, 0.1, 0.08535533905932738, 0.05]],
    ["cosine_annealing_warm_restarts", { t_0: 2, t_mult: 1 }, [0.1, 0.05, 0.1, 0.05]],
    ["cyclic", { base_lr: 0.1, max_lr: 0.5, step_size_up: 2 }, [0.1, 0.3, 0.5, 0.3, 0.1, 0.3]],
    ["cyclic", { base_lr: 0, max_lr: 1, step_size_up: 1, mode: "triangular2" }, [0, 1, 0, 0.5, 0, 0.25]],
    ["cyclic", { base_lr: 0, max_lr: 1, step_size_up: 1, mode: "exp_range", gamma: 0.5 }, [0, 0.5, 0, 0.125]],
    ["cyclic", { base_lr: 0, max_lr: 1, step_size_up: 1, step_size_down: 2 }, [0, 1, 0.5, 0, 1]],
    [
      "one_cycle",
      { max_lr: 1, total_steps: 5, pct_start: 0.6, div_factor: 2, final_div_factor: 5, anneal_strategy: "linear" },
      [0.5, 0.75, 1, 0.55, 0.1, 0.1, 0.1],
    ],
    ["inverse_sqrt", { warmup: 4 }, [0.025, 0.05, 0.075, 0.1, 0.1 * Math.sqrt(0.8)]],
    ["noam", { warmup: 4, d_model: 100 }, [0.00125, 0.0025, 0.00375, 0.005, 0.01 / Math.sqrt(5)]],
    ["warmup_stable_decay", { warmup: 2, stable: 1, decay: 2 }, [0.05, 0.1, 0.1, 0.1, 0.05, 0, 0]],
    ["piecewise", { milestones: [1, 3], factors: [1, 0.5] }, [0.1, 0.1, 0.1, 0.05, 0.05]],
    ["piecewise", { milestones: [1, 3], factors: [0, 1], interpolation: "linear" }, [0, 0, 0.05, 0.1, 0.1]],
    ["piecewise", { milestones: [0, 4], factors: [0, 1], interpolation: "cosine" }, [0, 0.1 * 0.14644660940672624]],
    [
      "sequential",
      {
        schedulers: [
          ["ConstantLR", { factor: 0.5, total_iters: 9 }],
          ["ExponentialLR", { gamma: 0.5 }],
        ],
        milestones: [2],
      },
      [0.05, 0.05, 0.1, 0.05, 0.025],
    ],
    [
      "chained",
      {
        schedulers: [
          ["ConstantLR", { factor: 0.5, total_iters: 2 }],
          ["ExponentialLR", { gamma: 0.5 }],
        ],
      },
      [0.05, 0.025, 0.025, 0.0125],
    ],
  ])("%s %j", (type, options, expected) => expectRates(rates(type, options, expected.length), expected));

  /** The rates that values of the metric lead to. */
  function followed(options: Readonly<Record<string, unknown>>, values: readonly number[]): (number | null)[] {
    const schedule = translate(schedules, "torch", "ReduceLROnPlateau", options) as Schedule;
    let state: ScheduleState | null = null;
    return values.map((value) => {
      state = scheduleType(schedule).follow!(schedule, 0.1, state, value);
      return state.lr;
    });
  }

  it("reduce_on_plateau takes a relative threshold as a share of the best value", () => {
    const options = { factor: 0.5, patience: 0, threshold: 0.1, threshold_mode: "rel" };
    // Less is better: below 0.9, then below 0.72; more is better: above 1.1, then above 1.32.
    expect(followed({ ...options, mode: "min" }, [1, 0.91, 0.8, 0.73, 0.71])).toEqual([0.1, 0.05, 0.05, 0.025, 0.025]);
    expect(followed({ ...options, mode: "max" }, [1, 1.09, 1.2, 1.31, 1.33])).toEqual([0.1, 0.05, 0.05, 0.025, 0.025]);
  });

  it("reduce_on_plateau starts counting again after a drop", () => {
    expect(followed({ factor: 0.5, patience: 1 }, [1, 1, 1, 1, 1])).toEqual([0.1, 0.1, 0.05, 0.05, 0.025]);
  });

  it("reduce_on_plateau makes no drop that is not larger than eps", () => {
    expect(followed({ factor: 0.5, patience: 0, eps: 0.06 }, [1, 1, 1])).toEqual([0.1, 0.1, 0.1]);
    expect(followed({ factor: 0.5, patience: 0, eps: 0.04 }, [1, 1, 1])).toEqual([0.1, 0.05, 0.05]);
  });

  it.each(["min", "max"])("reduce_on_plateau takes what is not finite for no improvement, mode %s", (mode) => {
    const options = { mode, factor: 0.5, patience: 0, threshold: 0 };
    for (const value of [NaN, Infinity, -Infinity]) {
      expect(followed(options, [value, value])).toEqual([0.05, 0.025]);
      expect(followed(options, [1, value, value])).toEqual([0.1, 0.05, 0.025]);
    }
  });

  it("reduce_on_plateau drops after more than `patience` values that are no better, and then waits", () => {
    const options = {
      mode: "max",
      factor: 0.5,
      patience: 1,
      threshold: 0.1,
      threshold_mode: "abs",
      cooldown: 2,
      min_lr: 0.03,
    };
    // The rate drops at 1.1 and at the fourth 2: the two values after a drop are not counted.
    const seen = followed(options, [NaN, 1, 1.05, 1.1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
    expect(seen).toEqual([0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03]);
  });
});

describe("timing", () => {
  it("during a warm-up the momentum is the first one of the schedule", () => {
    const options = { base_lr: 0, max_lr: 1, step_size_up: 2, cycle_momentum: true };
    const schedule = { ...translate(schedules, "torch", "CyclicLR", options), warmup_steps: 2, interval: "step" };
    const momenta = [0, 1, 2, 3].map(
      (step) => rateAt(kernels, schedule as Schedule, 0.1, { step, stepsPerEpoch: 1, state: null }).momentum,
    );
    expect(momenta).toEqual([0.9, 0.9, 0.9, expect.closeTo(0.85, 12)]);
  });

  it("a warm-up reaches lr with its last step, and the schedule starts after it", () =>
    expectRates(
      rates("step", { step_size: 2, gamma: 0.5, warmup_steps: 4 }, 8),
      [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05],
    ));

  it("a warm-up of one step has no effect", () =>
    expectRates(
      rates("linear", { total_iters: 5, warmup_steps: 1 }, 3).slice(1),
      rates("linear", { total_iters: 5 }, 2),
    ));

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

describe("schedules with long lists", () => {
  const LENGTH = 10_000;
  const STEPS = 2000;
  const ascending = Array.from({ length: LENGTH }, (_, i) => i + 1);
  const ones = ascending.map(() => 1);
  const constants = Array.from({ length: LENGTH + 1 }, () => ({ type: "constant" }));
  const lists: Record<string, object> = {
    multi_step: { milestones: ascending, gamma: 0.999 },
    piecewise: { milestones: ascending, factors: ones, interpolation: "linear" },
    sequential: { milestones: ascending, schedulers: constants },
  };

  it("this suite tests every schedule with a list of any length", () => {
    const long = Object.values(schedules).filter(({ options }) =>
      Object.values(options).some((option) => "length" in option && option.length === null),
    );
    expect(long.map(({ type }) => type).sort()).toEqual(Object.keys(lists));
  });

  it.each(Object.keys(lists))("%s does not go through its list again at every step", (type) => {
    let reads = 0;
    const counted = <T extends object>(list: T): T =>
      new Proxy(list, {
        get(target, key) {
          if (typeof key === "string" && /^\d+$/.test(key)) reads++;
          return Reflect.get(target, key) as unknown;
        },
      });
    const options = Object.entries(lists[type]).map(([name, value]) => [
      name,
      Array.isArray(value) ? counted(value as object) : value,
    ]);
    const schedule = { type, warmup_steps: 0, interval: "step", ...Object.fromEntries(options) } as Schedule;
    for (let step = 0; step < STEPS; step++) rateAt(kernels, schedule, 0.1, { step, stepsPerEpoch: 1, state: null });
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThanOrEqual(2 * LENGTH + 4 * STEPS);
  });
});

describe("options that do not fit together are refused", () => {
  const faults = (type: string, options: Record<string, unknown>) =>
    checkSchedule(withDefaults(schedules[type], options), null).map(({ option }) => option);
  const part = withDefaults(schedules.exponential);
  const cosine = (eta_min: number) => withDefaults(schedules.cosine_annealing, { t_max: 5, eta_min });
  const restarts = (eta_min: number) => withDefaults(schedules.cosine_annealing_warm_restarts, { t_0: 5, eta_min });
  const inTurn = (...schedulers: Member[]) => withDefaults(schedules.sequential, { schedulers, milestones: [5] });

  it.each<[string, Record<string, unknown>, string[]]>([
    ["one_cycle", { max_lr: 1, three_phase: true, pct_start: 0.5 }, []],
    ["one_cycle", { max_lr: 1, three_phase: true, pct_start: 0.51 }, ["pct_start"]],
    ["one_cycle", { max_lr: 1, pct_start: 0.51 }, []],
    ["cyclic", { base_lr: 0.5, max_lr: 0.5 }, []],
    ["cyclic", { base_lr: 0.5, max_lr: 0.4 }, ["max_lr"]],
    ["piecewise", { milestones: [0, 5], factors: [1, 0] }, []],
    ["piecewise", { milestones: [5, 5], factors: [1, 0] }, ["milestones"]],
    ["piecewise", { milestones: [5, 4], factors: [1, 0] }, ["milestones"]],
    ["piecewise", { milestones: [], factors: [] }, ["milestones"]],
    ["piecewise", { milestones: [1, 2], factors: [1] }, ["factors"]],
    ["sequential", { schedulers: [part, part, part], milestones: [5, 6] }, []],
    ["sequential", { schedulers: [part, part, part], milestones: [5, 5] }, ["milestones"]],
    ["sequential", { schedulers: [part, part], milestones: [] }, ["milestones"]],
    ["sequential", { schedulers: [part, part], milestones: [5, 6] }, ["milestones"]],
    ["chained", { schedulers: [part, part] }, []],
    ["chained", { schedulers: [part, withDefaults(schedules.one_cycle, { max_lr: 1 })] }, ["schedulers/1"]],
    ["chained", { schedulers: [part, withDefaults(schedules.reduce_on_plateau)] }, ["schedulers/1"]],
    ["chained", { schedulers: [part, cosine(0)] }, []],
    ["chained", { schedulers: [part, cosine(0.1)] }, ["schedulers/1"]],
    ["chained", { schedulers: [restarts(0), part] }, []],
    ["chained", { schedulers: [restarts(0.1), part] }, ["schedulers/0"]],
    ["chained", { schedulers: [part, inTurn(part, cosine(0))] }, []],
    ["chained", { schedulers: [part, inTurn(part, cosine(0.1))] }, ["schedulers/1"]],
    ["chained", { schedulers: Array(32).fill(part) }, []],
    ["chained", { schedulers: Array(33).fill(part) }, ["schedulers"]],
    ["reduce_on_plateau", { metric: "train_loss", every_steps: 1 }, []],
    ["reduce_on_plateau", { metric: "valid_loss", every_steps: 1 }, ["every_steps"]],
    ["reduce_on_plateau", { metric: "valid_loss", mode: "max" }, ["mode"]],
    ["reduce_on_plateau", { metric: "valid_accuracy", mode: "max" }, []],
  ])("%s %j", (type, options, expected) => {
    expect(faults(type, options)).toEqual(expected);
  });
});
