import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startService, type Service } from "./service.ts";

let service: Service;

beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

const headers = { "content-type": "application/json" };
const preview = (body: unknown) => service.call("POST", "/v1/schedules/preview", { body, headers });

async function faultsOf(body: unknown): Promise<string[]> {
  const { status, body: problem } = await preview(body);
  expect(status).toBe(422);
  expect(problem.code).toBe("invalid_spec");
  return problem.errors.map((fault: { pointer: string; message: string }) => `${fault.pointer} ${fault.message}`);
}

describe("POST /v1/schedules/preview", () => {
  test("gives the rate of every step", async () => {
    const schedule = { type: "step", step_size: 2, gamma: 0.5, warmup_steps: 2 };
    const { status, body } = await preview({ schedule, lr: 0.5, steps: 6 });
    expect(status).toBe(200);
    expect(body).toEqual({
      steps: [0, 1, 2, 3, 4, 5],
      learning_rate: [0.25, 0.5, 0.5, 0.5, 0.25, 0.25],
      momentum: null,
    });
  });

  test("takes the previewed steps as the whole training", async () => {
    const schedule = { type: "linear", start_factor: 1, end_factor: 0, warmup_steps: 1 };
    expect((await preview({ schedule, lr: 1, steps: 5 })).body.learning_rate).toEqual([1, 1, 0.75, 0.5, 0.25]);
  });

  test("gives the momentum if any part cycles it", async () => {
    const cyclic = { type: "cyclic", base_lr: 0, max_lr: 1, step_size_up: 2 };
    const schedule = { type: "sequential", schedulers: [{ type: "constant" }, cyclic], milestones: [2] };
    const { body } = await preview({ schedule, lr: 0.5, steps: 5 });
    expect(body.learning_rate).toEqual([0.5, 0.5, 0, 0.5, 1]);
    expect(body.momentum).toEqual([null, null, 0.9, 0.85, 0.8].map((value) => value && expect.closeTo(value, 12)));
  });

  test("counts epochs if their length is given", async () => {
    const schedule = { type: "exponential", gamma: 0.5, interval: "epoch" };
    const { body } = await preview({ schedule, lr: 1, steps: 6, steps_per_epoch: 3 });
    expect(body.learning_rate).toEqual([1, 1, 1, 0.5, 0.5, 0.5]);
    expect(await faultsOf({ schedule, lr: 1, steps: 6 })).toEqual([
      '/steps_per_epoch is required, because the interval of the schedule is "epoch"',
    ]);
  });

  test("gives every step unless it is asked for fewer", async () => {
    const schedule = { type: "constant" };
    const { body } = await preview({ schedule, lr: 0.1, steps: 2500 });
    expect(body.steps).toEqual(Array.from({ length: 2500 }, (_, i) => i));
  });

  test("thins a long curve to its ends and extremes, always in the same way", async () => {
    const schedule = { type: "one_cycle", max_lr: 1, total_steps: 100_000 };
    const ask = { schedule, lr: 0.1, steps: 100_000, max_points: 100 };
    const { body } = await preview(ask);
    expect(body.steps.length).toBeLessThanOrEqual(100);
    expect(body.steps[0]).toBe(0);
    expect(body.steps.at(-1)).toBe(99_999);
    expect(Math.max(...body.learning_rate)).toBe(1);
    expect(body.momentum.length).toBe(body.steps.length);
    expect((await preview(ask)).body).toEqual(body);
    // The rate has its extremes at other steps than the momentum, which there is in one half only.
    const halves = [
      { type: "cosine_annealing_warm_restarts", t_0: 37 },
      { type: "cyclic", base_lr: 0, max_lr: 1, step_size_up: 41 },
    ];
    const sequence = { type: "sequential", schedulers: halves, milestones: [50_000] };
    const both = (await preview({ ...ask, schedule: sequence })).body;
    expect(both.steps.length).toBeLessThanOrEqual(100);
    expect(both.steps.at(-1)).toBe(99_999);
  });

  test("reports every fault", async () => {
    expect(await faultsOf({ schedule: { type: "cosine" }, lr: -1, steps: 100_001 })).toEqual([
      expect.stringMatching(
        /^\/schedule\/type is not known here; did you mean "cosine_annealing"\? It must be one of /,
      ),
      "/lr must be at least 0",
      "/steps must be at most 100000",
    ]);
    const nested = {
      type: "chained",
      schedulers: [
        { type: "cyclic", base_lr: 0.5, max_lr: 0.1 },
        { type: "reduce_on_plateau" },
        { type: "sequential", schedulers: [{ type: "constant" }], milestones: [3] },
      ],
    };
    expect(await faultsOf({ schedule: nested, lr: 1, steps: 5 })).toEqual([
      "/schedule/schedulers/0 must multiply lr by a factor to be chained; cyclic sets the rate itself",
      "/schedule/schedulers/0/max_lr must be at least base_lr (0.5)",
      "/schedule/schedulers/1 cannot be reduce_on_plateau, which follows a metric: use it as the only schedule",
      "/schedule/schedulers/2/milestones must be one fewer than schedulers, 0, not 1",
    ]);
    expect(await faultsOf({ schedule: { type: "exponential", gamma: 1e200 }, lr: 1, steps: 5 })).toEqual([
      "/schedule makes the rate infinite at step 2",
    ]);
    expect((await preview("")).body.code).toBe("malformed_json");
  });

  test("refuses schedules that are nested too deeply", async () => {
    const depth = 20_000;
    const schedule = `${'{"type": "chained", "schedulers": ['.repeat(depth)}{"type": "constant"}${"]}".repeat(depth)}`;
    expect(await faultsOf(`{"schedule": ${schedule}, "lr": 1, "steps": 5}`)).toEqual([
      expect.stringMatching(/is nested too deeply$/),
    ]);
    const many = { type: "chained", schedulers: Array.from({ length: 16 }, () => ({ type: "constant" })) };
    expect(await faultsOf({ schedule: { type: "chained", schedulers: [many, many] }, lr: 1, steps: 5 })).toEqual([
      "/schedule/schedulers must be at most 32 schedules in all, not 34",
    ]);
  });
});
