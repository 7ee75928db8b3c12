import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { Crew, type Snapshot } from "../../../src/engine/crew/crew.ts";
import { ThreadFailed } from "../../../src/engine/crew/hands.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { readSafetensors, writeSafetensors } from "../../../src/engine/state/safetensors.ts";
import { modelFile } from "../../../src/engine/state/model-files.ts";
import { stateHead, type Progress } from "../../../src/engine/state/state.ts";
import { classes, member, smallJob, train, type Trained } from "../../support/training.ts";

/** The crew trains. */
async function begun(crew: Crew): Promise<void> {
  while (crew.progress().step === 0) await sleep(1);
}

const handlers = { log() {}, evaluated() {}, snapshot() {} };

/** A small job under an optimizer of the registry, such as the optimizer can train. */
function jobUnder(key: string, clip: number | null): TrainingJob {
  const type = optimizers[key];
  const rate = type.rate ?? "lr";
  const options = type.options[rate].kind === "number" ? { [rate]: 0.01 } : {};
  const optimizer = member("optimizers", key, { ...options, ...REQUIRED[key] });
  const job = smallJob({ optimizer, training: { clip_grad_norm: clip, clip_grad_value: clip }, keepBest: true });
  if (!type.fullBatch) return job;
  return {
    ...job,
    model: { layers: job.model.layers.filter((layer) => layer.type !== "dropout") },
    training: { ...job.training, batch_size: "full", epochs: 60 },
  };
}

const REQUIRED: Readonly<Record<string, Record<string, unknown>>> = {
  optax_lookahead: { fast_optimizer: member("optimizers", "keras_adam"), sync_period: 4, slow_step_size: 0.5 },
  lbfgs: { max_iter: 4, history_size: 5, line_search_fn: "strong_wolfe" },
};

describe("the same bytes", () => {
  const variants = Object.keys(optimizers).flatMap((type) => [
    { type, clip: null },
    { type, clip: 0.5 },
  ]);

  describe.each(variants)("$type, gradient norm limited to $clip", ({ type, clip }) => {
    const job = () => jobUnder(type, clip);
    let alone: Trained;

    beforeAll(async () => {
      alone = await train(job(), { everySteps: 13 });
    });

    test.each([2, 3, 5, 8])("from %i threads as from one", async (threads) => {
      const crew = await train(job(), { threads });
      expect(crew.crew.threads).toBe(threads);
      expect(crew.state?.sha256).toBe(alone.state?.sha256);
      expect(crew.weights).toBe(alone.weights);
      expect(crew.losses).toEqual(alone.losses);
    });

    test("resumed at every checkpoint", async () => {
      // One may be passed over while the one before is still being written; the last never is.
      expect(alone.checkpoints.size).toBeGreaterThan(1);
      expect(alone.checkpoints.has(60)).toBe(true);
      for (const [step, state] of alone.checkpoints) {
        const resumed = await train(job(), { threads: 2, state });
        expect(resumed.state?.sha256).toBe(alone.state?.sha256);
        expect(resumed.losses).toEqual(alone.losses.filter(([logged]) => logged > step));
      }
    });
  });

  const timed = (type: string, options: object) => ({
    ...member("schedules", type, options as Record<string, unknown>),
    interval: "step",
    warmup_steps: 5,
  });
  test.each([
    ["a momentum that is cycled", timed("one_cycle", { max_lr: 0.05, total_steps: 50 })],
    [
      "a followed train loss",
      timed("reduce_on_plateau", { metric: "train_loss", every_steps: 4, patience: 0, threshold: 0.2 }),
    ],
    [
      "a followed train loss of epochs",
      timed("reduce_on_plateau", { metric: "train_loss", patience: 0, threshold: 0.5 }),
    ],
    ["a followed evaluation", timed("reduce_on_plateau", { patience: 0, threshold: 0.5 })],
  ])("under %s, from three threads and from every checkpoint", async (_name, schedule) => {
    const rates: number[] = [];
    const job = () => smallJob({ schedule });
    const alone = await train(job(), { everySteps: 13, rates });
    expect(new Set(rates.slice(3)).size).toBeGreaterThan(2);
    for (const state of [null, ...alone.checkpoints.values()])
      expect((await train(job(), { threads: 3, state })).state?.sha256).toBe(alone.state?.sha256);
  });

  test("observed or not, and observations do not depend on the threads", async () => {
    const changes = {
      layers: [
        member("layers", "linear", { out_features: 67 }),
        member("layers", "relu"),
        member("layers", "linear", { out_features: 90 }),
        member("layers", "relu"),
        member("layers", "linear"),
      ],
      observe: { every_steps: 3, per_layer: true },
    };
    for (const type of ["adam", "lamb", "muon", "adafactor", "lookahead"]) {
      const optimizer = member("optimizers", type);
      for (const clip_grad_norm of [null, 0.2]) {
        const training = { clip_grad_norm };
        const plain = await train(smallJob({ ...changes, optimizer, training, observe: null }));
        const seen = await train(smallJob({ ...changes, optimizer, training }), { everySteps: 25 });
        const crew = await train(smallJob({ ...changes, optimizer, training }), { threads: 3 });
        expect(seen.weights).toBe(plain.weights);
        expect(crew.weights).toBe(plain.weights);
        expect(crew.observed).toEqual(seen.observed);
        const [step, state] = [...seen.checkpoints][0];
        const resumed = await train(smallJob({ ...changes, optimizer, training }), { threads: 2, state });
        expect(resumed.observed).toEqual(seen.observed.filter(([observed]) => observed > step));
      }
    }
  });

  test("differ with another seed", async () => {
    const one = await train(smallJob());
    const other = await train(smallJob({ training: { seed: 8 } }));
    expect(other.weights).not.toBe(one.weights);
  });

  test("with any batch size from one sample to all, and with rows that do not divide evenly", async () => {
    for (const batch_size of [1, 7, 168, "full"] as const) {
      const job = () => smallJob({ training: { batch_size, epochs: 2 } });
      const [one, three] = [await train(job()), await train(job(), { threads: 3 })];
      expect(three.state?.sha256).toBe(one.state?.sha256);
    }
  });
});

describe("a run", () => {
  test("learns, and its metrics are those of the last weights", async () => {
    const { outcome, losses } = await train(smallJob({ training: { epochs: 40 } }), { threads: 2 });
    expect(outcome).toMatchObject({ type: "completed", step: 240, epochs: 40 });
    expect(losses[0][1]).toBeGreaterThan(0.9);
    expect(losses.at(-1)![1]).toBeLessThan(0.4);
    if (outcome.type !== "completed") throw new Error("not completed");
    expect(outcome.metrics.valid_accuracy).toBeGreaterThan(0.7);
  });

  test("logs the mean of the losses since the last log, and the rest at its end", async () => {
    const logged = async (log_every_steps: number) => (await train(smallJob({ training: { log_every_steps } }))).losses;
    const each = (await logged(1)).map(([, loss]) => loss);
    const sevenths = await logged(7);
    expect(sevenths.map(([step]) => step)).toEqual([7, 14, 21, 28, 35, 42, 49, 56, 60]);
    for (const [step, mean] of sevenths) {
      const losses = each.slice(step === 60 ? 56 : step - 7, step);
      expect(mean).toBeCloseTo(losses.reduce((sum, loss) => sum + loss) / losses.length, 12);
    }
  });

  test("has the validation loss of the rows that validate, and of no others", async () => {
    const data = classes(210, 11);
    const loss = member("losses", "cross_entropy", { weight: { "0": 3 }, ignore_class: "1" });
    const counting = new Int32Array(data.validRows.filter((row) => data.targets[row] !== 1));
    expect(counting.length).toBeLessThan(data.validRows.length);
    const validLoss = async (validRows: Int32Array) => {
      const { outcome } = await train(smallJob({ loss, data: { ...data, validRows } }));
      if (outcome.type !== "completed") throw new Error("not completed");
      return outcome.metrics.valid_loss;
    };
    expect(await validLoss(data.validRows)).toBe(await validLoss(counting));
  });

  test("makes one final state", async () => {
    const kinds: string[] = [];
    await train(smallJob(), { onSnapshot: (snapshot) => kinds.push(...snapshot.kinds) });
    expect(kinds).toEqual(["final"]);
  });

  test("counts the checkpoints that were due while the buffer was not free, and trains on", async () => {
    const skipped: number[] = [];
    const crew: Crew = await Crew.start(
      smallJob(),
      { threads: 2, everySteps: 4, state: null },
      {
        ...handlers,
        snapshot(snapshot) {
          skipped.push(snapshot.skipped);
          const free = () => (crew.progress().step === 60 ? void snapshot.serialize() : void setTimeout(free, 1));
          free();
        },
      },
    );
    expect(await crew.run()).toMatchObject({ type: "completed", step: 60 });
    // Of fifteen that were due all but the first.
    expect(skipped).toEqual([0, 14]);
  });

  test("starts that count again after each snapshot", async () => {
    const taken: Snapshot[] = [];
    const crew: Crew = await Crew.start(
      smallJob({ training: { epochs: 500 } }),
      { threads: 2, everySteps: 4, state: null },
      {
        ...handlers,
        snapshot(snapshot) {
          // The first is held until two more were due.
          const held = taken.push(snapshot) === 1;
          const free = () => (held && crew.progress().step < 12 ? void setTimeout(free, 1) : void snapshot.serialize());
          free();
        },
      },
    );
    expect(await crew.run()).toMatchObject({ type: "completed", step: 3000 });
    const periodic = taken.filter(({ kinds }) => kinds.includes("periodic"));
    expect(periodic.length).toBeGreaterThan(2);
    expect(periodic.length + taken.reduce((sum, { skipped }) => sum + skipped, 0)).toBe(3000 / 4);
  });

  test("that had already ended takes no step", async () => {
    const first = await train(smallJob());
    const again = await train(smallJob(), { threads: 2, state: first.state!.bytes });
    expect(again.losses).toEqual([]);
    expect(again.outcome).toEqual(first.outcome);
    expect(again.state?.sha256).toBe(first.state?.sha256);
  });

  test("stops early after `patience` evaluations that are no better, and keeps the best weights", async () => {
    const evaluations: { step: number; improved: boolean; loss: number }[] = [];
    const job = smallJob({
      optimizer: member("optimizers", "adam", { lr: 0.05 }),
      training: {
        epochs: 200,
        eval_every_epochs: 1,
        early_stopping: { metric: "valid_loss", mode: "min", patience: 3, min_delta: 0 },
      },
      keepBest: true,
    });
    const { outcome, state } = await train(job, {
      threads: 2,
      evaluated: ({ step, improved, metrics }) => evaluations.push({ step, improved, loss: metrics.valid_loss }),
    });
    expect(outcome.type).toBe("early_stopping");
    const best = evaluations.filter(({ improved }) => improved).at(-1)!;
    expect(evaluations.slice(-4).map(({ improved }) => improved)).toEqual([true, false, false, false]);
    expect(outcome).toMatchObject({ best: { step: best.step, metric: "valid_loss", value: best.loss } });
    expect(best.loss).toBe(Math.min(...evaluations.map(({ loss }) => loss)));
    expect(modelFile(state!.bytes, "best").sha256).not.toBe(modelFile(state!.bytes, "final").sha256);
  });

  test("that diverges reports the step and what to change, and leaves no state", async () => {
    const job = smallJob({
      layers: [member("layers", "linear", { out_features: 8 }), member("layers", "relu"), member("layers", "linear")],
      optimizer: member("optimizers", "sgd", { lr: 1e30 }),
      schedule: { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 },
    });
    const { outcome, state } = await train(job, { threads: 2 });
    expect(outcome).toMatchObject({ type: "diverged" });
    if (outcome.type !== "diverged") throw new Error("not diverged");
    expect(outcome.step).toBeLessThan(60);
    expect(outcome.finding).toMatchObject({ detector: "diverging", cause: "learning_rate_too_high" });
    expect(outcome.finding.remedy).toMatch(/lr \(now 1e30\) to about 1e29.*clip_grad_norm/);
    expect(state).toBeNull();
  });

  test("stops at a step boundary with its state when it is told to, and goes on from there to the same bytes", async () => {
    const whole = await train(smallJob({ training: { epochs: 100 } }));
    const stopped = await train(smallJob({ training: { epochs: 100 } }), {
      threads: 2,
      evaluated: () => {},
      meanwhile: (crew) => void begun(crew).then(() => crew.stop({ snapshot: true })),
    });
    expect(stopped.outcome.type).toBe("stopped");
    const [step, state] = [...stopped.checkpoints].at(-1)!;
    expect(stopped.outcome).toMatchObject({ step });
    const resumed = await train(smallJob({ training: { epochs: 100 } }), { threads: 3, state });
    expect(resumed.weights).toBe(whole.weights);
  });

  test("holds while it is suspended", async () => {
    const steps: number[] = [];
    const pulses: number[] = [];
    const look = (crew: Crew) => {
      steps.push(crew.progress().step);
      pulses.push(crew.pulse());
    };
    const { outcome } = await train(smallJob({ training: { epochs: 3000 } }), {
      threads: 2,
      meanwhile(crew) {
        void (async () => {
          await begun(crew);
          crew.suspend();
          await sleep(100);
          look(crew);
          await sleep(100);
          look(crew);
          crew.stop({ snapshot: false });
        })();
      },
    });
    expect(outcome.type).toBe("stopped");
    expect(steps[1] - steps[0]).toBeLessThanOrEqual(1);
    expect(pulses[1] - pulses[0]).toBeLessThanOrEqual(1);
  });

  test("has a pulse that counts its steps and evaluations", async () => {
    const { crew } = await train(smallJob({ training: { epochs: 5 } }), { threads: 2 });
    expect(crew.pulse()).toBeGreaterThan(crew.progress().step);
  });

  test("fails and stops all its threads when it is abandoned", async () => {
    const crew = await Crew.start(
      smallJob({ training: { epochs: 100_000 } }),
      { threads: 3, everySteps: null, state: null },
      handlers,
    );
    void begun(crew).then(() => crew.abandon(new ThreadFailed("a thread was lost")));
    await expect(crew.run()).rejects.toThrow("a thread was lost");
    // The threads are lent again, in order.
    expect((await train(smallJob(), { threads: 3 })).outcome.type).toBe("completed");
  });
});

test("a thread that fails ends the run with the reason, and the other threads stop", async () => {
  const job = { ...smallJob(), loss: member("losses", "cross_entropy", { weight: { nobody: 2 } }) };
  const crew = await Crew.start(job, { threads: 3, everySteps: null, state: null }, handlers);
  await expect(crew.run()).rejects.toThrow('"nobody" is not a class of the target');
});

describe("a state", () => {
  test("that lacks some newer fields can be continued", async () => {
    const { checkpoints, weights } = await train(smallJob(), { everySteps: 13 });
    const [state] = checkpoints.values();
    const { tensors, metadata } = readSafetensors(state);
    const { groups: _groups, changes: _changes, ...progress } = JSON.parse(metadata.progress) as Progress;
    const { parameters: _parameters, ...others } = metadata;
    const old = writeSafetensors([...tensors.values()], { ...others, progress: JSON.stringify(progress) });
    expect(stateHead(old).parameters).toEqual(["0.bias", "0.weight", "3.bias", "3.weight", "5.bias", "5.weight"]);
    expect(stateHead(state).parameters).toEqual(["0.weight", "0.bias", "3.weight", "3.bias", "5.weight", "5.bias"]);
    expect((await train(smallJob(), { threads: 2, state: old })).weights).toBe(weights);
  });

  test("that is damaged, or of another job, is refused", async () => {
    const { state } = await train(smallJob());
    const start = (bytes: Uint8Array, job = smallJob()) =>
      Crew.start(job, { threads: 1, everySteps: null, state: bytes.slice() }, handlers);
    await expect(start(state!.bytes.slice(0, 1000))).rejects.toThrow("header");
    await expect(start(state!.bytes, smallJob({ data: classes(210, 12) }))).rejects.toThrow("0.weight is 33 × 11");
    await expect(start(state!.bytes, smallJob({ optimizer: member("optimizers", "sgd", { lr: 1 }) }))).rejects.toThrow(
      "lacks",
    );
  });
});
