// Runs that are past 2^31 and 2^32 steps: they begin from a state that says so.
import { describe, expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../../src/engine/state/safetensors.ts";
import type { Progress } from "../../../src/engine/state/state.ts";
import { RunProgress } from "../../../src/runner/progress.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";

/**
 * Every epoch is a step. Whatever numbers its steps is in use: shuffling, dropout, noise, averages,
 * a schedule.
 */
const endingAt = (epochs: number) =>
  smallJob({
    data: classes(210, 11),
    optimizer: member("optimizers", "keras_adam"),
    schedule: { ...member("schedules", "inverse_sqrt", { warmup: 4 }), interval: "step", warmup_steps: 0 },
    training: {
      epochs,
      batch_size: "full",
      log_every_steps: 1,
      eval_every_epochs: 3,
      gradient_noise: { eta: 0.01, gamma: 0.55 },
      averaging: { type: "ema", decay: 0.9, start_step: 0, every_steps: 2 },
    },
  });

/** The state after `step` steps, of a job that made fewer. */
async function stateAt(step: number): Promise<Uint8Array> {
  const { checkpoints } = await train(endingAt(1000), {
    everySteps: 5,
    onSnapshot: (_snapshot, crew) => crew.stop({ snapshot: false }),
  });
  const { tensors, metadata } = readSafetensors([...checkpoints.values()][0]);
  const progress = { ...(JSON.parse(metadata.progress) as Progress), step };
  return writeSafetensors([...tensors.values()], { ...metadata, progress: JSON.stringify(progress) });
}

describe.each([2 ** 31, 2 ** 32])("past %i steps", (edge) => {
  const job = () => endingAt(edge + 200);
  const first = edge - 20;

  test("a run counts, logs, evaluates and ends correctly", async () => {
    const evaluated: number[] = [];
    const options = { state: await stateAt(first), evaluated: ({ step }: { step: number }) => evaluated.push(step) };
    const { outcome, losses, crew } = await train(job(), options);
    expect(outcome).toMatchObject({ type: "completed", step: edge + 200, epochs: edge + 200 });
    expect(losses.map(([step]) => step)).toEqual(Array.from({ length: 220 }, (_, i) => first + 1 + i));
    expect(evaluated).toEqual(
      [...losses.map(([step]) => step).filter((step) => step % 3 === 0), edge + 200].filter(
        (step, i, all) => all.indexOf(step) === i,
      ),
    );
    expect(crew.progress()).toMatchObject({ step: edge + 200, epoch: edge + 200 });
  });

  test("the bytes depend on the step alone, with several threads and from any checkpoint", async () => {
    const state = await stateAt(first);
    const whole = await train(job(), { state: state.slice(), everySteps: 7 });
    const steps = [...whole.checkpoints.keys()];
    expect(steps.some((step) => step < edge)).toBe(true);
    expect(steps.some((step) => step > edge)).toBe(true);
    expect((await train(job(), { state, threads: 3 })).state!.sha256).toBe(whole.state!.sha256);
    for (const step of [steps[0], steps.find((step) => step > edge)!]) {
      const resumed = await train(job(), { state: whole.checkpoints.get(step), threads: 2 });
      expect(resumed.state!.sha256).toBe(whole.state!.sha256);
      expect(resumed.losses).toEqual(whole.losses.filter(([logged]) => logged > step));
    }
  });
});

test("progress whose step is behind what was reported counts nothing", () => {
  const progress = new RunProgress(smallJob(), { step: 2 ** 31, metrics: {} }, []);
  expect(progress.at(2 ** 31 - 5).step).toBe(2 ** 31);
  expect(progress.at(2 ** 31 + 5).step).toBe(2 ** 31 + 5);
});
