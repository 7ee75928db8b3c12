import { describe, expect, test } from "vitest";
import type { Schedule } from "../../../src/engine/settings.ts";
import { spanNotes, spanOf, withoutSpan, withSpan } from "../../../src/engine/schedules/span.ts";
import { schedule } from "../detectors/jobs.ts";

const of = (type: string, options: object = {}) => schedule(type, options) as Schedule;

describe("an open length of a schedule is its whole time", () => {
  test("in steps or started epochs, without the warm-up", () => {
    expect(spanOf(of("cosine_annealing"), 690, 23)).toBe(690);
    expect(spanOf(of("cosine_annealing", { warmup_steps: 100 }), 690, 23)).toBe(590);
    expect(spanOf(of("cosine_annealing", { interval: "epoch" }), 690, 23)).toBe(30);
    expect(spanOf(of("cosine_annealing", { interval: "epoch", warmup_steps: 24 }), 690, 23)).toBe(29);
    expect(spanOf(of("cosine_annealing", { warmup_steps: 700 }), 690, 23)).toBe(1);
  });

  test.each([
    ["cosine_annealing", "t_max"],
    ["linear", "total_iters"],
    ["polynomial", "total_iters"],
    ["one_cycle", "total_steps"],
  ])("%s: %s", (type, option) => {
    const open = of(type, { max_lr: 1 });
    expect(open[option]).toBeNull();
    expect(withSpan(open, 690)).toEqual({ ...open, [option]: 690 });
    const chosen = { ...open, [option]: 7 };
    expect(withSpan(chosen, 690)).toEqual(chosen);
    expect([withoutSpan(chosen, 690), withoutSpan(withSpan(open, 690), 690)]).toEqual([chosen, open]);
  });

  test("for a part it is the part's turn, or the whole time if all parts act at once", () => {
    const cosine = of("cosine_annealing");
    const turns = of("sequential", { schedulers: [of("linear"), cosine, cosine], milestones: [10, 40] });
    expect(withSpan(turns, 100).schedulers).toMatchObject([{ total_iters: 10 }, { t_max: 30 }, { t_max: 60 }]);
    expect(withoutSpan(withSpan(turns, 100), 100)).toEqual(turns);
    const both = of("chained", { schedulers: [of("linear"), cosine] });
    expect(withSpan(both, 100).schedulers).toMatchObject([{ total_iters: 100 }, { t_max: 100 }]);
    const late = of("sequential", { schedulers: [cosine, cosine], milestones: [200] });
    expect(withSpan(late, 100).schedulers).toMatchObject([{ t_max: 200 }, { t_max: 1 }]);
  });
});

describe("a schedule that ends well before or after the training has a note", () => {
  const notes = (type: string, options: object) =>
    spanNotes(of(type, options), 1000, 50).map(({ option, code }) => `${option} ${code}`);

  test.each([
    ["cosine_annealing", { t_max: 899 }, ["t_max schedule_ends_early"]],
    ["cosine_annealing", { t_max: 900 }, []],
    ["cosine_annealing", { t_max: 1100 }, []],
    ["cosine_annealing", { t_max: 1101 }, ["t_max schedule_ends_late"]],
    ["cosine_annealing", { t_max: 1000, interval: "epoch" }, ["t_max schedule_ends_late"]],
    ["cosine_annealing", { t_max: 1000, warmup_steps: 500 }, ["t_max schedule_ends_late"]],
    ["linear", { total_iters: 5 }, []],
    ["linear", { total_iters: 5, start_factor: 1, end_factor: 0.1 }, ["total_iters schedule_ends_early"]],
    ["polynomial", { total_iters: 5 }, ["total_iters schedule_ends_early"]],
    ["one_cycle", { max_lr: 1, total_steps: 100 }, ["total_steps schedule_ends_early"]],
    ["warmup_stable_decay", { warmup: 10, stable: 100, decay: 10 }, ["decay schedule_ends_early"]],
    ["warmup_stable_decay", { warmup: 10, stable: 980, decay: 10 }, []],
    ["step", { step_size: 30 }, []],
    ["step", { step_size: 30, interval: "epoch" }, ["step_size schedule_ends_late"]],
    ["multi_step", { milestones: [30, 8000] }, ["milestones schedule_ends_late"]],
    ["piecewise", { milestones: [0, 100], factors: [1, 0.1] }, []],
    ["cyclic", { base_lr: 0.1, max_lr: 1 }, ["step_size_up schedule_ends_late"]],
    ["noam", { d_model: 8, warmup: 4000 }, ["warmup schedule_ends_late"]],
    ["constant", { warmup_steps: 1000 }, ["warmup_steps schedule_ends_late"]],
    ["constant", { warmup_steps: 999 }, []],
    ["reduce_on_plateau", {}, []],
  ])("%s %j", (type, options, expected) => expect(notes(type, options)).toEqual(expected));

  test("and so has a part that ends well before or after its turn", () => {
    const schedulers = [of("linear", { total_iters: 100 }), of("cosine_annealing", { t_max: 100 })];
    expect(notes("sequential", { schedulers, milestones: [50] })).toEqual([
      "schedulers/0/total_iters schedule_ends_late",
      "schedulers/1/t_max schedule_ends_early",
    ]);
    const [note] = spanNotes(of("cosine_annealing", { t_max: 100, interval: "epoch" }), 10_000, 50);
    expect(note.message).toBe("ends cosine_annealing after 100 of its 200 epochs; from then on the rate rises again");
  });
});
