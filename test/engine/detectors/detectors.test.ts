import { describe, expect, test } from "vitest";
import { short } from "../../../src/engine/detectors/short.ts";
import { Diagnosis, freshDiagnosis } from "../../../src/engine/watch/diagnosis.ts";
import { detectors } from "../../../src/engine/detectors/registry.generated.ts";
import { classes, member, train, type JobChanges, type Trained } from "../../support/training.ts";
import { faulty, healthy } from "./cases.ts";
import { linear, layer, noisyClasses, optimizer, perceptron, values, watched, watchful } from "./jobs.ts";

/** With what ended the job, if it is not among them. */
function findingsOf({ findings, outcome }: Trained) {
  return outcome.type === "diverged" ? [...findings, outcome.finding] : findings;
}

describe("a faulty job is diagnosed:", () => {
  test("there are twenty faulty jobs, and every detector finds one", () => {
    expect(faulty.length).toBeGreaterThanOrEqual(20);
    expect(new Set(faulty.map(({ detector }) => detector))).toEqual(new Set(Object.keys(detectors)));
  });

  test.each(faulty)("$name", async ({ job, detector, cause, also = [] }) => {
    const findings = findingsOf(await train(job()));
    expect(findings.map((finding) => [finding.detector, finding.cause])).toContainEqual([detector, cause]);
    for (const finding of findings) expect([cause, ...also]).toContain(finding.cause);
  });
});

describe("a healthy job raises no warning:", () => {
  test("there are twenty healthy jobs", () => expect(healthy.length).toBeGreaterThanOrEqual(20));

  test.each(healthy)("$name", async ({ job }) => {
    const trained = await train(job());
    expect(findingsOf(trained)).toEqual([]);
    expect(trained.losses.at(-1)![1]).toBeLessThan(0.7 * trained.losses[0][1]);
  });
});

describe("a finding", () => {
  const doomed = () => watched({ optimizer: optimizer("sgd", { lr: 0.01 }), schedule: growing });
  const growing = { ...member("schedules", "exponential", { gamma: 1.05 }), interval: "step", warmup_steps: 0 };

  test("says in plain words what was seen and what helps, with numbers", async () => {
    const { findings } = await train(doomed());
    const { message, remedy } = findings.find(({ detector }) => detector === "diverging")!;
    expect(message).toMatch(
      /^The loss rose from 0\.\d+ at step \d+ to [\d.]+ at step \d+ while the gradient norm grew \d+-fold\.$/,
    );
    // Its schedule has raised the rate a hundredfold.
    expect(remedy).toMatch(
      /^Have the schedule raise lr \(now [\d.]+\) to about [\d.]+ at most, or set clip_grad_norm to 1\.0, or set/,
    );
  });

  test.each([
    [0, "0"],
    [1 / 3, "0.333"],
    [12345.6, "12300"],
    [0.0001, "0.0001"],
    [0.00001, "1e-5"],
    [5.1137e-7, "5.11e-7"],
    [1.9e7, "1.9e7"],
    [-4.27e19, "-4.27e19"],
    [1e6, "1e6"],
  ])("tells %d as %s", (value, text) => expect(short(value)).toBe(text));

  test("of too high a rate says by how much to lower it", async () => {
    const { findings } = await train(watched({ optimizer: optimizer("sgd", { lr: 30, momentum: 0.9 }) }));
    expect(findings[0].remedy).toMatch(/^Lower lr \(now 30\) to about 3, or set clip_grad_norm/);
  });

  test("does not report short steps at a minimum that the optimizer has found", async () => {
    const data = noisyClasses(300);
    const training = { batch_size: "full" as const, epochs: 40 };
    const found = await train(watched({ data, layers: [linear(null)], optimizer: optimizer("lbfgs"), training }));
    expect(found.observed.at(-1)![1].update_ratio).toBe(0);
    expect(found.findings).toEqual([]);
  });

  test("of a plateau compares with the first window, whatever came before it", () => {
    const job = watched();
    const diagnosis = new Diagnosis(job, 30);
    const state = freshDiagnosis();
    const losses = [2.4, ...Array.from({ length: 29 }, () => 0.05)];
    const found = losses.flatMap((loss, i) => [
      ...diagnosis.step(state, i + 1, loss, 0.01, null),
      ...diagnosis.evaluated(state, i + 1, 0.05, 0.01),
    ]);
    expect(found).toEqual([]);
  });

  test("names the rate of an optimizer within another", async () => {
    const wrapped = optimizer("lookahead", { optimizer: optimizer("sgd", { lr: 30 }) });
    const { findings } = await train(watched({ optimizer: wrapped }));
    expect(findings[0].remedy).toContain("ower optimizer.lr (now 30) to about 3");
  });

  test("is made once, at the same step from any threads and any checkpoint, and the state is the same", async () => {
    const alone = await train(doomed(), { everySteps: 60 });
    expect(alone.findings.length).toBeGreaterThan(1);
    expect(new Set(alone.findings.map(({ detector }) => detector)).size).toBe(alone.findings.length);
    const crew = await train(doomed(), { threads: 3 });
    expect(crew.findings).toEqual(alone.findings);
    expect(crew.state?.sha256).toBe(alone.state?.sha256);
    for (const [step, state] of alone.checkpoints) {
      const resumed = await train(doomed(), { threads: 2, state });
      expect(resumed.findings).toEqual(alone.findings.filter((finding) => finding.step > step));
      expect(resumed.crew.findings).toEqual(alone.findings.filter((finding) => finding.step <= step));
      expect(resumed.state?.sha256).toBe(alone.state?.sha256);
    }
  });

  test("changes no bit of the weights", async () => {
    const blind = await train({ ...doomed(), observe: null, detectors: {} });
    expect(blind.findings).toEqual([]);
    expect(blind.weights).toBe((await train(doomed())).weights);
  });

  test("ends the job under the policy stop, with metrics of its last weights", async () => {
    const detectors = watchful({ plateau: { policy: "stop" } });
    const { outcome, findings, state } = await train(
      watched({ detectors, optimizer: optimizer("adam", { lr: 1e-6 }) }),
    );
    const found = findings.find(({ detector }) => detector === "plateau")!;
    expect(outcome).toMatchObject({ type: "diagnosed", step: found.step });
    expect(outcome.type === "diagnosed" && outcome.metrics.valid_loss).toBeGreaterThan(1);
    expect(state).not.toBeNull();
    const again = await train(watched({ detectors, optimizer: optimizer("adam", { lr: 1e-6 }) }), {
      state: state!.bytes,
    });
    expect(again.outcome).toEqual(outcome);
    expect(again.losses).toEqual([]);
  });

  test("ends the job with an evaluation, and reports early stopping if the job would have stopped anyway", async () => {
    // Half of the 300 steps are done with the tenth epoch.
    const ending = async (training: JobChanges["training"]) => {
      const evaluated: number[] = [];
      const job = watched({
        detectors: watchful({ plateau: { policy: "stop" } }),
        optimizer: optimizer("adam", { lr: 1e-6 }),
        training,
      });
      const { outcome } = await train(job, { threads: 2, evaluated: ({ step }) => evaluated.push(step) });
      return { outcome, evaluated };
    };
    const between = await ending({ eval_every_epochs: 4 });
    expect(between.evaluated).toEqual([60, 120, 150]);
    expect(between.outcome).toMatchObject({ type: "diagnosed", step: 150 });
    const rule = { metric: "valid_loss", mode: "min", min_delta: 1e9 } as const;
    const early = await ending({ early_stopping: { ...rule, patience: 9 } });
    expect(early.outcome).toMatchObject({ type: "early_stopping", step: 150 });
    const later = await ending({ early_stopping: { ...rule, patience: 10 } });
    expect(later.outcome).toMatchObject({ type: "diagnosed", step: 150 });
  });

  test("of an evaluation also ends the job, in every thread", async () => {
    const { job } = faulty.find(({ detector }) => detector === "overfitting")!;
    const detectors = watchful({ overfitting: { policy: "stop" } });
    const [one, three] = [await train({ ...job(), detectors }), await train({ ...job(), detectors }, { threads: 3 })];
    expect(one.outcome).toMatchObject({ type: "diagnosed", step: one.findings[0].step });
    expect(three.outcome).toEqual(one.outcome);
  });

  test("of divergence fails the job under the policy stop", async () => {
    const { outcome, findings } = await train({ ...doomed(), detectors: watchful({ diverging: { policy: "stop" } }) });
    expect(outcome).toMatchObject({
      type: "diverged",
      finding: { detector: "diverging", cause: "learning_rate_too_high" },
    });
    expect(outcome.type === "diverged" && outcome.finding).toEqual(
      findings.find(({ detector }) => detector === "diverging"),
    );
  });

  test("is not made under the policy ignore, or within other thresholds", async () => {
    const names = async (changes: Record<string, object>) =>
      (await train({ ...doomed(), detectors: watchful(changes) })).findings.map(({ detector }) => detector);
    expect(await names({})).toContain("diverging");
    expect(await names({ diverging: { policy: "ignore" } })).not.toContain("diverging");
    expect(await names({ diverging: { factor: 1e9 } })).not.toContain("diverging");
  });
});

describe("the observation", () => {
  test("of the effective rate of plain gradient descent is its rate", async () => {
    const job = watched({ optimizer: optimizer("sgd", { lr: 0.125 }), observe: { every_steps: 1, per_layer: true } });
    const { observed } = await train(job);
    expect(observed.length).toBe(300);
    for (const [, metrics] of observed) {
      expect(metrics.effective_learning_rate).toBeCloseTo(0.125, 5);
      expect(metrics["effective_learning_rate.0"]).toBeCloseTo(0.125, 4);
      const squares = ["0", "2", "4"].map((name) => metrics[`grad_norm.${name}`] ** 2);
      expect(metrics.grad_norm).toBeCloseTo(Math.sqrt(squares.reduce((sum, square) => sum + square)), 10);
      expect(metrics.first_moment_norm).toBeUndefined();
      expect(metrics.clipped_fraction).toBeUndefined();
    }
  });

  test("of the first moments is the gradient with momentum, and a tenth and a thousandth of it with Adam", async () => {
    const first = async (type: string, options: object) => {
      const job = watched({ optimizer: optimizer(type, options), observe: { every_steps: 1, per_layer: false } });
      return (await train(job)).observed[0][1];
    };
    const sgd = await first("sgd", { lr: 0.1, momentum: 0.9 });
    expect(sgd.first_moment_norm).toBeCloseTo(sgd.grad_norm, 12);
    const adam = await first("adam", { lr: 0.1 });
    expect(adam.first_moment_norm).toBeCloseTo(sgd.grad_norm / 10, 6);
    expect(adam.second_moment_norm).toBeGreaterThan(0);
  });

  test.each([
    ["adabelief", true, true],
    ["adadelta", false, true],
    ["adafactor", false, false],
    ["adagrad", false, true],
    ["adamax", true, true],
    ["ademamix", true, true],
    ["asgd", false, false],
    ["ftrl", false, true],
    ["keras_adam", true, true],
    ["lamb", true, true],
    ["lion", true, false],
    ["lookahead", true, true],
    // Its matrices have one, and what is left to its fallback the other too.
    ["muon", true, false],
    ["nadam", true, true],
    // One number a tensor is no norm.
    ["novograd", true, false],
    ["prodigy", true, true],
    ["radam", true, true],
    ["rmsprop", false, true],
    ["rprop", false, false],
    ["schedule_free_adamw", false, true],
    ["sgd", false, false],
    ["sparse_adam", true, true],
    ["yogi", true, true],
  ])("of %s: whether its moments have norms, the first %s, the second %s", async (type, first, second) => {
    // A single output, so that a bias is one number.
    const job = watched({
      data: values(100),
      loss: member("losses", "mse"),
      optimizer: optimizer(type),
      observe: { every_steps: 1, per_layer: true },
      training: { epochs: 1 },
    });
    const [[, metrics]] = (await train(job)).observed;
    for (const layer of ["", ".0", ".4"])
      expect([`first_moment_norm${layer}` in metrics, `second_moment_norm${layer}` in metrics]).toEqual([
        first,
        second,
      ]);
  });

  test("of a centred RMSprop is its average of the gradient", async () => {
    const centred = watched({ optimizer: optimizer("rmsprop", { centered: true }) });
    expect((await train(centred)).observed[0][1].first_moment_norm).toBeGreaterThan(0);
  });

  test("of dead units is made if the last batch of a step has sixteen rows, or as many as any batch", async () => {
    const reported = async (rows: number, batch_size: number) => {
      const observe = { every_steps: 16, per_layer: false };
      const { observed } = await train(
        watched({ data: classes(rows, 8), observe, training: { epochs: 1, batch_size } }),
      );
      return "dead_fraction" in observed[0][1];
    };
    // Four fifths of the rows train, so that the sixteenth batch of 32 has 15 and 16 of them.
    expect([await reported(619, 32), await reported(620, 32), await reported(640, 32)]).toEqual([false, true, true]);
    expect(await reported(640, 8)).toBe(true);
  });

  test("of clipping is the share of steps since the last observation", async () => {
    const norms = async (clip_grad_norm: number) => {
      const job = watched({ observe: { every_steps: 4, per_layer: false }, training: { clip_grad_norm } });
      return (await train(job)).observed.map(([, metrics]) => metrics.clipped_fraction);
    };
    expect(new Set(await norms(1e-6))).toEqual(new Set([1]));
    expect(new Set(await norms(1e6))).toEqual(new Set([0]));
    for (const fraction of await norms(0.3)) expect([0, 0.25, 0.5, 0.75, 1]).toContain(fraction);
  });

  test("of dead units is their share, over any number of threads", async () => {
    const layers = [linear(13, { weight_init: "zeros", bias_init: "zeros" }), layer("relu"), linear(null)];
    const job = () => watched({ layers, observe: { every_steps: 1, per_layer: true }, training: { epochs: 1 } });
    for (const threads of [1, 3]) {
      const { observed } = await train(job(), { threads });
      expect(observed[0][1]).toMatchObject({ dead_fraction: 1, "dead_fraction.1": 1 });
    }
    const awake = await train(
      watched({ layers: perceptron("relu", 13), data: classes(600, 8), training: { epochs: 1 } }),
    );
    expect(awake.observed[0][1].dead_fraction).toBeLessThan(0.2);
    const smooth = await train(
      watched({ layers: perceptron("gelu", 13), data: values(600), loss: member("losses", "mse") }),
    );
    expect(smooth.observed[0][1].dead_fraction).toBeUndefined();
  });

  test("of dead units leaves out a last batch that is too short, unless all are", async () => {
    const seen = async (batch_size: number) => {
      const training = { epochs: 1, batch_size };
      const job = watched({ data: classes(602, 8), observe: { every_steps: 1, per_layer: false }, training });
      return (await train(job)).observed.map(([, metrics]) => "dead_fraction" in metrics);
    };
    expect(await seen(32)).toEqual([...Array.from({ length: 15 }, () => true), false]);
    expect(new Set(await seen(13))).toEqual(new Set([true]));
  });
});
