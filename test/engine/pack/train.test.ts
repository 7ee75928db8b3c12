import { describe, expect, test } from "vitest";
import { planFor } from "../../../src/engine/crew/load.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { nativeSets, type KernelChoice } from "../../../src/engine/kernels/native.ts";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import type { Trained } from "../../../src/engine/pack/recorder.ts";
import type { Plan } from "../../../src/engine/plan/model.ts";
import { packKey, packs } from "../../../src/engine/pack/shape.ts";
import { packJob, trainPack, trainTogether } from "../../../src/engine/pack/train.ts";
import type { Evaluation } from "../../../src/engine/step/evaluation.ts";
import { coveringRows } from "../../support/pairs.ts";
import { classes, featuresOf, member, smallJob, train, withFeatures, type JobChanges } from "../../support/training.ts";
import { linear, values, watchful } from "../detectors/jobs.ts";
import { excluded, factors, jobOf } from "../option-table.ts";

const choices: readonly KernelChoice[] = nativeSets().length > 0 ? ["wasm", "native"] : ["wasm"];

/** Everything that a job gives when a crew trains it. */
async function byCrew(job: TrainingJob) {
  const evaluations: Evaluation[] = [];
  const { outcome, state, weights, logged, findings } = await train(job, {
    kernels: "wasm",
    evaluated: (evaluation) => evaluations.push(evaluation),
  });
  return { outcome, state: state?.sha256, weights, log: logged, evaluations, findings };
}

const seen = ({ outcome, file, log, evaluations, findings }: Trained) => {
  return { outcome, state: file?.sha256, weights: file?.models[0].sha256 ?? null, log, evaluations, findings };
};

/** All that a job gives. */
const whole = (choice: KernelChoice) => ({ choice, start: null, onlyModels: false, due: () => false });

function finished<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

const withSeed = (job: TrainingJob, seed: number): TrainingJob => ({ ...job, training: { ...job.training, seed } });

/** Trains the jobs in one pack and each in a crew. All must be the same to the last bit. */
async function expectSame(jobs: readonly TrainingJob[]): Promise<Trained[]> {
  const plan = planFor(jobs[0], 1);
  for (const job of jobs) expect(packs(planFor(job, 1), job) && packKey(job)).toBe(packKey(jobs[0]));
  const expected = await Promise.all(jobs.map(byCrew));
  const trained = choices.map((choice) => finished(trainTogether(plan, jobs, whole(choice))));
  for (const some of trained) expect(some.map(seen)).toEqual(expected);
  const firsts = expected.map(({ outcome, evaluations }) => (outcome.type === "diverged" ? null : evaluations[0]));
  for (const choice of choices) expectFirstLosses(plan, jobs, choice, firsts);
  return trained[0];
}

/** Under this rule the first evaluation stays the best. */
const unbeaten = { metric: "valid_loss", mode: "min", patience: 1e9, min_delta: 1e300 };

/** Where only models are wanted, a pack computes the losses of evaluations by itself. */
function expectFirstLosses(
  plan: Plan,
  jobs: readonly TrainingJob[],
  choice: KernelChoice,
  firsts: readonly (Evaluation | null | undefined)[],
): void {
  const ruled = jobs.map((job) => ({ ...job, training: { ...job.training, early_stopping: unbeaten } }));
  const trained = finished(trainTogether(plan, ruled as TrainingJob[], { ...whole(choice), onlyModels: true }));
  for (const [i, first] of firsts.entries()) {
    if (!first) continue;
    const { step, metrics } = first;
    expect(trained[i].outcome).toMatchObject({ best: { step, metric: "valid_loss", value: metrics.valid_loss } });
  }
}

const seeds = (job: TrainingJob) => [1, 2 ** 40 + 7].map((seed) => withSeed(job, seed));

/** The options that crews are tested with, as far as packs take them. */
const options = {
  ...factors,
  optimizers: ["sgd", "adam", "asgd", "rprop", "ftrl", "lookahead", "schedule_free"],
  batches: ["small", "dropped", "full"],
  clips: ["none", "value"],
  noise: ["none"],
  observe: ["none"],
  schedules: ["constant", "cosine", "cycle"],
  detectors: ["none", "warn", "stop"],
  threads: ["2"],
  checkpoints: ["1"],
  resumedAt: ["first"],
  resumedBy: ["1"],
};

describe("a job in a pack gives what it gives alone,", () => {
  test.each(coveringRows(options, excluded, 1).map((row) => [Object.values(row).join(" "), row] as const))(
    "%s",
    async (_name, row) => void (await expectSame(seeds(jobOf(row)))),
  );

  const tiny = (changes: JobChanges) =>
    smallJob({ data: classes(40, 4), ...changes, training: { epochs: 3, batch_size: 7, ...changes.training } });

  const elementwise = Object.values(optimizers).filter(({ type, dialect, fullBatch }) => {
    if (dialect !== undefined || fullBatch) return false;
    const job = tiny({ optimizer: member("optimizers", type) });
    return packs(planFor(job, 1), job);
  });
  test.each(elementwise.map(({ type }) => type))("under %s", async (type) => {
    await expectSame(seeds(tiny({ optimizer: member("optimizers", type, { weight_decay: 0.01 }) })));
  });

  test("under all optimizers but those that look at more than one element", () => {
    const others = Object.values(optimizers).filter(
      (type) => type.dialect === undefined && !elementwise.includes(type),
    );
    expect(others.map(({ type }) => type).sort()).toEqual(
      ["adafactor", "lamb", "lbfgs", "muon", "novograd", "prodigy", "sparse_adam"].sort(),
    );
  });

  test.each(Object.values(layers).flatMap((type) => (type.elementwise ? [type.type] : [])))(
    "with the activation %s",
    async (type) => void (await expectSame(seeds(tiny({ layers: [linear(9), member("layers", type), linear(null)] })))),
  );

  test.each(Object.values(losses).flatMap((type) => (type.elementwise ? [type] : [])))(
    "with the loss $type",
    async ({ type, targets }) => {
      const data = values(40);
      const of = {
        probability: (y: number) => Number(y > 0),
        sign: Math.sign,
        count: (y: number) => Math.round(y * y),
      };
      const kind = targets as keyof typeof of;
      data.targets.forEach((y, row) => (data.targets[row] = of[kind]?.(y) ?? y));
      const last = type === "bce" ? [linear(null), member("layers", "sigmoid")] : [linear(null)];
      await expectSame(seeds(tiny({ data, loss: member("losses", type), layers: [linear(5), ...last] })));
    },
  );

  test("with rows, class weights, intervals and ends of its own", async () => {
    const base = tiny({ data: classes(120, 4), keepBest: true, training: { epochs: 8 } });
    const { data } = base;
    const shifted = (by: number) =>
      withFeatures(
        data,
        featuresOf(data).map((x) => x + by),
      );
    const [test, valid] = [data.validRows.subarray(0, 9), data.validRows.subarray(9, 18)];
    const jobs = [
      { data: shifted(0.1) },
      { data: { ...data, classWeights: [1, 4, 0.5] } },
      {
        data: withFeatures(
          data,
          featuresOf(data).map((x) => x * 1e39),
        ),
      },
      { training: { ...base.training, log_every_steps: 3, eval_every_epochs: 3, shuffle: false } },
      {
        training: {
          ...base.training,
          early_stopping: { metric: "valid_loss", mode: "min", patience: 1, min_delta: 9 },
        },
      },
      { detectors: watchful({ plateau: { policy: "stop", after: 0.3, min_drop: 0.9 } }) },
      {
        training: { ...base.training, pruning: { metric: "valid_loss", rungs: [{ epoch: 1, value: 0 }] } },
      },
    ].map((changes) => {
      const job = { ...base, ...changes } as TrainingJob;
      return { ...job, data: { ...job.data, validRows: valid, testRows: test } };
    });
    const ends = (await expectSame(jobs)).map(({ outcome }) => outcome.type);
    expect(ends).toEqual(["completed", "completed", "diverged", "completed", "early_stopping", "diagnosed", "pruned"]);
  });
});

test("more rows validate than are evaluated at a time", async () => {
  const data = classes(400, 4);
  const rows = Int32Array.from({ length: 400 }, (_, row) => row);
  const [validRows, trainRows] = [rows.subarray(0, 300), rows.subarray(300)];
  const layers = [linear(5), member("layers", "relu"), linear(null)];
  const job = smallJob({ data: { ...data, validRows, trainRows }, layers, training: { epochs: 4, batch_size: 16 } });
  expect(planFor(job, 1).evaluation.rows).toBeLessThan(300);
  await expectSame(seeds(job));
});

test("jobs come back in their order, however many there are and whether they pack or not", async () => {
  const small = [linear(5), member("layers", "relu"), member("layers", "dropout"), linear(null)];
  const of = (changes: JobChanges) =>
    smallJob({
      data: classes(30, 4),
      layers: small,
      ...changes,
      training: { epochs: 2, batch_size: 8, ...changes.training },
    });
  const packed = Array.from({ length: 17 }, (_, seed) => of({ training: { seed } }));
  const others = [
    of({ training: { clip_grad_norm: 0.1 } }),
    of({ training: { gradient_accumulation_steps: 2 } }),
    of({ optimizer: member("optimizers", "lamb") }),
    of({ layers: [linear(8), member("layers", "layer_norm"), linear(null)] }),
    of({ loss: member("losses", "multi_margin") }),
  ];
  for (const job of others) expect(packs(planFor(job, 1), job)).toBe(false);
  const mixed = others.flatMap((job, i) => [packed[i], job]);
  for (const jobs of [packed.slice(0, 1), packed.slice(0, 3), packed.slice(0, 16), packed, mixed]) {
    const expected = await Promise.all(jobs.map(byCrew));
    for (const choice of choices)
      expect(finished(trainPack(jobs.map(packJob), whole(choice))).map(seen)).toEqual(expected);
  }
});

test("the outcome and the models are the same if nothing else is wanted, and if others have turns", () => {
  const data = classes(120, 4);
  const [test, valid] = [data.validRows.subarray(0, 9), data.validRows.subarray(9)];
  const base = smallJob({
    data: { ...data, validRows: valid, testRows: test },
    layers: [linear(5), member("layers", "relu"), linear(null)],
    keepBest: true,
    training: { epochs: 4, batch_size: 8, log_every_steps: 1 },
  });
  const jobs = [
    ...Array.from({ length: 16 }, (_, seed) => withSeed(base, seed)),
    { ...base, data: { ...base.data, classWeights: [1, 4, 0.5] } },
    {
      ...base,
      data: withFeatures(
        base.data,
        featuresOf(data).map((x) => x * 1e39),
      ),
    },
    { ...base, optimizer: member("optimizers", "lamb") },
  ];
  const ends = ({ outcome, file }: Trained) => {
    const { reports: _, ...rest } = { reports: null, ...outcome };
    return [rest, file?.models.map(({ sha256 }) => sha256)];
  };
  for (const choice of choices) {
    const expected = finished(trainPack(jobs.map(packJob), whole(choice))).map(ends);
    let asked = 0;
    const due = () => ++asked % 3 === 0;
    const brief = trainPack(jobs.map(packJob), { choice, start: null, onlyModels: true, due });
    let turns = 0;
    for (let step = brief.next(); ; step = brief.next()) {
      if (step.done) {
        expect(step.value.map(ends)).toEqual(expected);
        break;
      }
      turns++;
    }
    expect(turns).toBeGreaterThan(50);
    expect(expected.filter(([, models]) => models === undefined)).toHaveLength(1);
  }
});
