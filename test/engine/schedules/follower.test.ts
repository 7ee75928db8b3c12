import { describe, expect, test } from "vitest";
import { followerOf, type Follower, type FollowerState } from "../../../src/engine/schedules/follower.ts";
import type { Schedule } from "../../../src/engine/settings.ts";
import type { ScheduleState } from "../../../src/engine/schedules/schedule.ts";
import { schedule } from "../detectors/jobs.ts";

const EPOCH = 4;

const plateau = (options: object) =>
  schedule("reduce_on_plateau", { factor: 0.5, patience: 0, ...options }) as Schedule;

/** What a run of a follower changes. */
function run(options: object, bases: readonly number[] = [0.1]) {
  const follower: Follower = followerOf(plateau(options), bases, EPOCH)!;
  const schedule: FollowerState = follower.fresh();
  const groups = bases.slice(1).map((): { schedule: ScheduleState | null } => ({ schedule: null }));
  const at = (step: number) => ({ step, schedule, groups });
  const rates = () => [schedule.state, ...groups.map((group) => group.schedule)].map((state) => state?.lr ?? null);
  return { follower, schedule, groups, at, rates };
}

describe("a schedule that follows the train loss", () => {
  const means = (options: object) => {
    const { follower, at } = run({ metric: "train_loss", ...options });
    return [1, 2, 3, 4, 5, 6, 8, 10].map((loss, i) => follower.addLoss(at(i + 1), loss));
  };

  test("is given its mean over an epoch, or over every_steps steps", () => {
    const none = null;
    expect(means({})).toEqual([none, none, none, 2.5, none, none, none, 7.25]);
    expect(means({ every_steps: 3 })).toEqual([none, none, 2, none, none, 5, none, none]);
    expect(means({ every_steps: 1 })).toEqual([1, 2, 3, 4, 5, 6, 8, 10]);
  });

  test("takes a value when one is due, whether or not the job is evaluated then", () => {
    const { follower, at, rates } = run({ metric: "train_loss", every_steps: 3 });
    follower.follow(at(2), true, 1);
    expect(rates()).toEqual([null]);
    follower.follow(at(3), false, 1);
    expect(rates()).toEqual([0.1]);
    follower.follow(at(6), false, 1);
    expect(rates()).toEqual([0.05]);
  });
});

describe("a schedule that follows an evaluation", () => {
  test("does not sum train losses, and takes a value at every evaluation", () => {
    const { follower, schedule, at, rates } = run({ metric: "valid_accuracy", mode: "max" });
    expect(follower.metric).toBe("valid_accuracy");
    expect(follower.addLoss(at(EPOCH), 1)).toBeNull();
    expect(schedule).toMatchObject({ lossSum: 0, lossSteps: 0 });
    follower.follow(at(EPOCH), false, 0.5);
    expect(rates()).toEqual([null]);
    follower.follow(at(EPOCH), true, 0.5);
    follower.follow(at(2 * EPOCH), true, 0.4);
    follower.follow(at(3 * EPOCH), true, 0.6);
    expect(rates()).toEqual([0.05]);
  });

  test.each([
    ["valid_loss", "falls"],
    ["valid_mae", "falls"],
    ["valid_accuracy", "rises"],
    ["valid_macro_f1", "rises"],
    ["valid_r2", "rises"],
  ])("of %s knows that what is better %s", (metric, way) => {
    const rate = (second: number) => {
      const { follower, at, rates } = run({ metric });
      follower.follow(at(1), true, 0.5);
      follower.follow(at(2), true, second);
      return rates()[0];
    };
    expect([rate(0.4), rate(0.6)]).toEqual(way === "falls" ? [0.1, 0.05] : [0.05, 0.1]);
  });

  test("takes none during the warm-up", () => {
    const { follower, at, rates } = run({ warmup_steps: EPOCH });
    follower.follow(at(EPOCH), true, 1);
    expect(rates()).toEqual([null]);
    follower.follow(at(EPOCH + 1), true, 1);
    expect(rates()).toEqual([0.1]);
  });

  test("keeps a rate for every base", () => {
    const { follower, groups, at, rates } = run({}, [0.1, 0.8, 3e-8]);
    for (const step of [1, 2, 3]) follower.follow(at(step), true, 1);
    // A drop of less than eps = 1e-8 is not made.
    expect(rates()).toEqual([0.025, 0.2, 1.5e-8]);
    groups[0].schedule = null;
    follower.follow(at(4), true, 1);
    expect(rates()).toEqual([0.0125, 0.8, 1.5e-8]);
  });
});

test("other schedules do not follow a metric", () => {
  expect(followerOf(schedule("constant") as Schedule, [0.1], EPOCH)).toBeNull();
});
