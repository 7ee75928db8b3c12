// What is known of a run, what is said of a cause, and how a divergence is explained.
import { describe, expect, test } from "vitest";
import { remedyFor, whyTooFast, type Cause } from "../../../src/engine/detectors/causes.ts";
import { RunFacts } from "../../../src/engine/detectors/facts.ts";
import { Diagnosis, explainDivergence, freshDiagnosis, verdictOf } from "../../../src/engine/watch/diagnosis.ts";
import { VERDICT } from "../../../src/engine/crew/control.ts";
import { member, type JobChanges } from "../../support/training.ts";
import { layer, linear, optimizer, perceptron, scaledClasses, schedule, values, watched, watchful } from "./jobs.ts";

const facts = (changes: JobChanges = {}) => new RunFacts(watched(changes), 100);

describe("the facts of a run", () => {
  test("have the number of rows of a step, at most all rows", () => {
    const rows = (training: JobChanges["training"]) => {
      const { batchRows, stepRows, trainRows } = facts({ training });
      return [batchRows, stepRows, trainRows];
    };
    expect(rows({ batch_size: 32 })).toEqual([32, 32, 480]);
    expect(rows({ batch_size: 32, gradient_accumulation_steps: 3 })).toEqual([32, 96, 480]);
    expect(rows({ batch_size: 32, gradient_accumulation_steps: 100 })).toEqual([32, 480, 480]);
    expect(rows({ batch_size: "full" })).toEqual([480, 480, 480]);
  });

  test("have what keeps it from overfitting, and the activations that saturate", () => {
    const early_stopping = { metric: "valid_loss", mode: "min", patience: 1, min_delta: 0 } as const;
    const dropped = { layers: [linear(4), layer("dropout"), linear(null)] };
    expect(facts()).toMatchObject({ regularised: false, earlyStopping: false, clipped: false, saturating: [] });
    expect(facts(dropped).regularised).toBe(true);
    expect(facts({ training: { early_stopping, clip_grad_norm: 1 } })).toMatchObject({
      earlyStopping: true,
      clipped: true,
    });
    expect(facts({ layers: perceptron("tanh", 4, 4) }).saturating).toEqual(["tanh"]);
  });

  test("say whether its data are far from unit scale: a root mean square above 10", () => {
    const targets = (scale: number) => {
      const data = values(100);
      data.targets.fill(scale);
      return facts({ data, loss: member("losses", "mse") }).targetsUnscaled;
    };
    expect([targets(-9.9), targets(-10.1)]).toEqual([false, true]);
    // Uniform numbers from −1 to 1 have 0.577.
    expect([16, 19].map((scale) => facts({ data: scaledClasses(600, 8, scale) }).featuresUnscaled)).toEqual([
      false,
      true,
    ]);
    const both = { data: values(100, { scale: 1000, featureScale: 1000 }), loss: member("losses", "mse") };
    expect(whyTooFast(facts(both))).toBe("features_unscaled");
  });
});

describe("the remedy for a cause", () => {
  const said = (cause: Cause, changes: JobChanges = {}, lr = 0.003) => remedyFor(cause, facts(changes), lr);

  test("names the present rate and a better one", () => {
    expect(said("learning_rate_too_high")).toBe(
      "lower lr (now 0.003) to about 0.0003, or set clip_grad_norm to 1.0, or set the schedule's warmup_steps",
    );
    expect(said("learning_rate_too_low")).toBe("raise lr (now 0.003) to about 0.03");
    expect(said("not_learning")).toMatch(/^try lr 0\.03 and 0\.0003 \(now 0\.003\)/);
    expect(said("dead_units")).toMatch(/^lower lr \(now 0\.003\) to about 0.0003, or use leaky_relu/);
  });

  test("does not ask for settings that are already there", () => {
    const early_stopping = { metric: "valid_loss", mode: "min", patience: 1, min_delta: 0 } as const;
    const all = {
      training: { clip_grad_norm: 1, early_stopping },
      schedule: schedule("constant", { warmup_steps: 1 }),
      layers: [linear(4), layer("dropout"), linear(null)],
    };
    expect(said("learning_rate_too_high", all)).toBe("lower lr (now 0.003) to about 0.0003");
    expect(said("initial_weights_too_large", all)).not.toContain("clip_grad_norm");
    expect(said("initial_weights_too_large")).toContain("clip_grad_norm");
    const rest = "raise weight_decay, make the model smaller or get more than 480 training rows";
    expect(said("overfitting", all)).toBe(rest);
    expect(said("overfitting")).toBe(`set early_stopping, add dropout, ${rest}`);
  });

  test("names the schedule if that has raised the rate far above its option", () => {
    expect(said("learning_rate_too_high", {}, 0.0059)).toMatch(/^lower lr/);
    expect(said("learning_rate_too_high", {}, 0.0061)).toMatch(/^have the schedule raise lr \(now 0\.0061\) to about/);
  });

  test("names a batch four times as large, with at least 32 rows", () => {
    const size = (batch_size: number) => said("batch_too_small", { training: { batch_size } });
    expect(size(4)).toBe("raise batch_size (now 4) to 32, or lower lr");
    expect(size(10)).toBe("raise batch_size (now 10) to 40, or lower lr");
  });

  test("names the activations that saturate, if there are any", () => {
    expect(said("saturating_activations", { layers: [...perceptron("tanh", 4), ...perceptron("sigmoid", 4)] })).toMatch(
      /^use relu, gelu or silu instead of tanh and sigmoid,/,
    );
    expect(said("saturating_activations")).toMatch(/^use fewer layers, weight_init/);
  });
});

describe("a divergence is explained", () => {
  const entry = (step: number, train_loss: number, learning_rate = 0.5) => ({ step, train_loss, learning_rate });
  const explained = (...logged: ReturnType<typeof entry>[]) => explainDivergence(watched(), 100, logged, 30);
  const seen = "The loss or a weight was no longer a finite number at step 30";

  test("by the losses before it", () => {
    expect(explained().message).toBe(`${seen}, before any loss was logged.`);
    expect(explained(entry(10, 2), entry(20, NaN)).message).toBe(`${seen}; the loss was 2 at step 10.`);
    expect(explained(entry(5, 2), entry(10, 1)).message).toBe(`${seen}; the loss was 1 at step 10.`);
    const risen = explained(entry(5, 2), entry(10, 1), entry(15, 7), entry(20, Infinity));
    expect(risen.message).toBe(`${seen}; the loss had risen from 1 at step 10 to 7 at step 15.`);
    expect(risen).toMatchObject({ detector: "diverging", cause: "learning_rate_too_high", step: 30 });
  });

  test("with the rate that was logged last, or that of the optimizer", () => {
    expect(explained(entry(5, 2, 0.001), entry(10, 1, 0.004)).remedy).toMatch(/^Lower lr \(now 0\.004\)/);
    expect(explained().remedy).toMatch(/^Lower lr \(now 0\.003\)/);
  });
});

describe("a diagnosis", () => {
  test("has no plateau for weights that have learned before", () => {
    const found = (learned: boolean) => {
      const diagnosis = new Diagnosis(watched({ detectors: watchful({ plateau: { after: 0.1 } }) }), 20);
      const state = { ...freshDiagnosis(), learned };
      const all = Array.from({ length: 20 }, (_, i) => diagnosis.step(state, i + 1, 1, 0.003, null)).flat();
      return all.map(({ detector }) => detector);
    };
    expect(found(false)).toEqual(["plateau"]);
    expect(found(true)).toEqual([]);
  });

  test("ends a job, or fails it, as the policies say", () => {
    const verdict = (detector: string, policy: string) => {
      const job = watched({ optimizer: optimizer("sgd"), detectors: watchful({ [detector]: { policy } }) });
      return verdictOf(job, { detector } as never);
    };
    expect(verdict("plateau", "warn")).toBe(VERDICT.goOn);
    expect(verdict("plateau", "stop")).toBe(VERDICT.end);
    expect(verdict("diverging", "stop")).toBe(VERDICT.fail);
    expect(verdict("diverging", "rewind")).toBe(VERDICT.fail);
    expect(verdict("diverging", "warn")).toBe(VERDICT.goOn);
  });
});
