// The curves that a crew tells of: the same from any number of threads and from any checkpoint.
import { expect, test } from "vitest";
import { Crew } from "../../../src/engine/crew/crew.ts";
import type { Evaluation } from "../../../src/engine/step/evaluation.ts";
import type { LogEntry } from "../../../src/engine/crew/log-reader.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import { isWeight } from "../../../src/engine/state/state.ts";
import { member, smallJob } from "../../support/training.ts";

interface Reported {
  readonly entries: LogEntry[];
  readonly evaluations: Evaluation[];
  readonly states: Map<number, Uint8Array>;
}

async function reported(job: TrainingJob, threads: number, state: Uint8Array | null = null): Promise<Reported> {
  const entries: LogEntry[] = [];
  const evaluations: Evaluation[] = [];
  const states = new Map<number, Uint8Array>();
  const written: Promise<unknown>[] = [];
  const crew = await Crew.start(
    job,
    { threads, everySteps: 1, state },
    {
      log: (logged) => entries.push(...logged),
      evaluated: (evaluation) => evaluations.push(evaluation),
      snapshot: (snapshot) => written.push(snapshot.serialize().then(({ bytes }) => states.set(snapshot.step, bytes))),
    },
  );
  await crew.run();
  await Promise.all(written);
  return { entries, evaluations, states };
}

test.each([null, 0.5, { max_norm: 0.5, norm_type: "inf" as const }])("whatever is clipped (%j)", async (clip) => {
  const job = () =>
    smallJob({ training: { clip_grad_norm: clip, epochs: 12, log_every_steps: 5, eval_every_epochs: 3 } });
  const whole = await reported(job(), 1);
  expect(whole.evaluations.map(({ step }) => step)).toEqual([18, 36, 54, 72]);
  expect(whole.entries.every(({ grad_norm }) => (clip === null ? grad_norm === null : grad_norm! > 0))).toBe(true);
  expect(whole.entries).toHaveLength(15);
  // The first one, one in the middle of a log's interval, and one at an evaluation; those taken
  // while another was written are missing.
  const steps = [...whole.states.keys()].filter((step) => step < 72);
  const some = new Set([steps[0], steps.find((step) => step % 5 !== 0)!, steps.at(-1)!]);
  for (const step of some) {
    const resumed = await reported(job(), 3, whole.states.get(step));
    expect(resumed.entries).toEqual(whole.entries.filter((entry) => entry.step > step));
    expect(resumed.evaluations).toEqual(whole.evaluations.filter((evaluation) => evaluation.step > step));
  }
});

test("the gradient norm is that of the step that plain gradient descent makes with it", async () => {
  const lr = 0.01;
  const weightsAfter = async (epochs: number) => {
    const job = smallJob({
      optimizer: member("optimizers", "sgd", { lr }),
      schedule: { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 },
      training: { clip_grad_norm: 1e9, log_every_steps: 1, epochs, batch_size: "full" },
    });
    const { entries, states } = await reported(job, 2);
    const weights = [...readSafetensors(states.get(epochs)!).tensors.values()]
      .filter(({ name }) => isWeight(name))
      .flatMap(({ bytes }) => [...new Float32Array(bytes.slice().buffer)]);
    return { weights, norm: entries.at(-1)!.grad_norm! };
  };
  const [before, after] = [await weightsAfter(3), await weightsAfter(4)];
  const squares = before.weights.reduce((sum, weight, i) => sum + (weight - after.weights[i]) ** 2, 0);
  expect(after.norm / (Math.sqrt(squares) / lr)).toBeCloseTo(1, 3);
});
