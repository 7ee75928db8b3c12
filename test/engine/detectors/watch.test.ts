// Every detector at the edges of its thresholds, on readings that are given.
import { describe, expect, test } from "vitest";
import type { Found, Reading } from "../../../src/engine/detectors/detector.ts";
import { RunFacts } from "../../../src/engine/detectors/facts.ts";
import { detectors } from "../../../src/engine/detectors/registry.generated.ts";
import { Diagnosis, freshDiagnosis, windowSteps } from "../../../src/engine/watch/diagnosis.ts";
import {
  gradientFade,
  observedMetrics,
  wholeModel,
  type LayerObservation,
} from "../../../src/engine/watch/observer.ts";
import { member, type JobChanges } from "../../support/training.ts";
import { optimizer, schedule, scaledClasses, values, watched, watchful } from "./jobs.ts";

const STEPS = 100;

const facts = (changes: JobChanges = {}) => new RunFacts(watched(changes), STEPS);

/** What a detector says to each of some readings. */
function watch(
  name: string,
  options: Readonly<Record<string, unknown>>,
  readings: readonly Reading[],
  run = facts(),
): (Found | null)[] {
  const type = detectors[name];
  const settings = member("detectors", name, options);
  let state: unknown = null;
  return readings.map((reading) => {
    const watched = type.watch(settings, state, reading, run);
    // It must survive a state file.
    state = JSON.parse(JSON.stringify(watched.state));
    return watched.found;
  });
}

/** The positions at which something was found. */
const when = (found: readonly (Found | null)[]) => found.flatMap((each, i) => (each === null ? [] : [i]));

const common = { learningRate: 0.003, start: 1 };

/** A window every ten steps. */
const windows = (...means: readonly (number | readonly [mean: number, deviation: number])[]): Reading[] =>
  means.map((given, i) => {
    const [mean, deviation] = [given].flat() as [number, number?];
    return { kind: "losses", ...common, step: (i + 1) * 10, steps: 25, mean, deviation: deviation ?? 0 };
  });

const evaluations = (...losses: readonly (readonly [validLoss: number, trainLoss: number])[]): Reading[] =>
  losses.map(([validLoss, trainLoss], i) => ({
    kind: "evaluations",
    ...common,
    step: (i + 1) * 10,
    validLoss,
    trainLoss,
  }));

const seen = (changes: Partial<LayerObservation> = {}): LayerObservation => ({
  name: "0",
  parameters: 4,
  gradientNorm: 1,
  weightNorm: 1,
  updateNorm: 0.001,
  firstMomentNorm: null,
  secondMomentNorm: null,
  units: 0,
  deadUnits: 0,
  ...changes,
});

const observations = (...all: readonly (readonly Partial<LayerObservation>[])[]): Reading[] =>
  all.map((layers, i) => ({
    kind: "observations",
    ...common,
    step: (i + 1) * 10,
    loss: 1,
    layers: layers.map((layer) => seen(layer)),
  }));

describe("diverging", () => {
  test("needs windows in a row above the limit, and reports the rise", () => {
    const found = watch("diverging", { factor: 1.5, patience: 2 }, windows(0.8, 1.6, 1.4, 1.5, 1.6, 1.7));
    expect(when(found)).toEqual([5]);
    expect(found[5]).toMatchObject({
      cause: "learning_rate_too_high",
      data: { lowest: 0.8, lowest_step: 10, loss: 1.7 },
    });
  });

  test("allows the mean a deviation by chance: its standard error", () => {
    // Of 25 losses that deviate by 2 the mean is known to 0.4.
    const found = (mean: number) => when(watch("diverging", { factor: 1.5, patience: 1 }, windows([mean, 2])));
    expect(found(1.89)).toEqual([]);
    expect(found(1.91)).toEqual([0]);
  });

  test("reports how far the gradient grew since the loss was lowest, if it grew", () => {
    const norm = (gradientNorm: number) => observations([{ gradientNorm }])[0];
    const [low, ...high] = windows(0.5, 2, 2);
    const reported = (...norms: number[]) =>
      watch("diverging", { patience: 2 }, [norm(500), norm(4), low, ...norms.map(norm), ...high]).at(-1)!.seen;
    expect(reported(6, 40, 8)).toMatch(/from 0\.5 at step 10 to 2 at step 30 while the gradient norm grew 10-fold$/);
    expect(reported(6, NaN, 8)).toMatch(/to 2 at step 30$/);
    expect(reported(9, Infinity)).toContain("grew 2-fold");
  });
});

describe("plateau", () => {
  const stuck = (...means: number[]) => when(watch("plateau", { after: 0.3, min_drop: 0.1 }, windows(...means)));

  test("waits for its share of the steps, and for three windows", () => {
    expect(stuck(1, 1, 1, 1)).toEqual([2, 3]);
    expect(when(watch("plateau", { after: 0.1, min_drop: 0.1 }, windows(1, 1, 1)))).toEqual([2]);
    expect(when(watch("plateau", { after: 0.5, min_drop: 0.1 }, windows(1, 1, 1, 1, 1, 1)))).toEqual([4, 5]);
  });

  test("takes the lowest moving average, in which the newest window counts three tenths", () => {
    // 1 − 0.3 × 0.32 = 0.904, and then 0.3 × 0.35 = 0.895.
    expect(stuck(1, 1, 0.68)).toEqual([2]);
    expect(stuck(1, 1, 0.65)).toEqual([]);
    expect(stuck(1, 0.65, 1, 1, 1)).toEqual([]);
  });

  test("names the cause", () => {
    const cause = (before: readonly Partial<LayerObservation>[], means: readonly number[], changes: JobChanges = {}) =>
      watch("plateau", { after: 0.3 }, [...observations(before), ...windows(...means)], facts(changes)).at(-1)!.cause;
    const unscaled = { data: scaledClasses(100, 8, 100) };
    const targets = { data: values(100, { scale: 1000 }), loss: member("losses", "mse") };
    const flat = [1, 1.01, 1];
    expect(cause([{}], flat)).toBe("not_learning");
    expect(cause([{}], [1, 1.21, 1])).toBe("learning_rate_too_high");
    expect(cause([{ units: 10, deadUnits: 6 }], flat, unscaled)).toBe("dead_units");
    expect(cause([{ units: 10, deadUnits: 5 }], flat, unscaled)).toBe("features_unscaled");
    expect(cause([{}], flat, targets)).toBe("targets_unscaled");
    expect(cause([{ gradientNorm: 0.9e-4 }, {}], flat)).toBe("saturating_activations");
    expect(cause([{ gradientNorm: 1.1e-4 }, {}], flat)).toBe("not_learning");
    expect(cause([{ updateNorm: 0.9e-4 }], flat)).toBe("learning_rate_too_low");
    expect(cause([{ updateNorm: 1.1e-4 }], flat)).toBe("not_learning");
    // Four falls of five.
    expect(cause([{}], [0.999, 0.999, 0.998, 1.01, 0.99])).toBe("learning_rate_too_low");
  });
});

describe("overfitting", () => {
  const found = (...losses: [number, number][]) =>
    when(watch("overfitting", { rise: 0.2, patience: 2 }, evaluations(...losses)));

  test("needs a rise that is large compared with the lowest loss and with the loss at the start", () => {
    expect(found([1, 0.4], [1.19, 0.3], [1.21, 0.3], [1.21, 0.3])).toEqual([3]);
    // A tenth of 1 is 0.1.
    expect(found([0.2, 0.05], [0.29, 0.01], [0.29, 0.01])).toEqual([]);
    expect(found([0.2, 0.05], [0.31, 0.01], [0.31, 0.01])).toEqual([2]);
  });

  test("needs a train loss below its earlier value and below half of the validation loss", () => {
    expect(found([1, 0.4], [1.5, 0.41], [1.5, 0.41])).toEqual([]);
    expect(found([1, 0.8], [1.5, 0.76], [1.5, 0.76])).toEqual([]);
    expect(found([1, 0.8], [1.5, 0.74], [1.5, 0.74])).toEqual([2]);
  });

  test("starts again at a lower loss, and counts only evaluations in a row", () => {
    expect(found([1, 0.4], [1.5, 0.3], [0.9, 0.3], [1.2, 0.2], [1, 0.2], [1.2, 0.2], [1.2, 0.2])).toEqual([6]);
  });
});

describe("noisy_loss", () => {
  test("needs a deviation that is large compared with the mean, while there is much to learn", () => {
    const found = (...means: [number, number][]) =>
      when(watch("noisy_loss", { ratio: 0.5, patience: 2 }, windows(...means)));
    expect(found([1, 0.49], [1, 0.51], [1, 0.49], [1, 0.51], [1, 0.51])).toEqual([4]);
    expect(found([0.29, 0.2], [0.29, 0.2])).toEqual([]);
    expect(found([0.31, 0.2], [0.31, 0.2])).toEqual([1]);
  });

  test("blames the batch if it is small", () => {
    const cause = (training: JobChanges["training"]) =>
      watch("noisy_loss", { ratio: 0.5, patience: 1 }, windows([1, 1]), facts({ training }))[0]!.cause;
    expect(cause({ batch_size: 15 })).toBe("batch_too_small");
    expect(cause({ batch_size: 16 })).toBe("learning_rate_too_high");
    expect(cause({ batch_size: 8, gradient_accumulation_steps: 2 })).toBe("learning_rate_too_high");
  });
});

describe("exploding_gradient", () => {
  const found = (options: Readonly<Record<string, unknown>>, ...norms: number[]) =>
    watch("exploding_gradient", options, observations(...norms.map((gradientNorm) => [{ gradientNorm }])));

  test("finds norms above the limit, or that are not numbers, several times in a row", () => {
    expect(when(found({ norm: 100 }, 100, 101, 100, 101, NaN))).toEqual([4]);
    expect(when(found({ norm: 100 }, 101, 101))).toEqual([1]);
  });

  test("finds norms that have grown compared with the mean of the first three", () => {
    const grown = found({ growth: 10, patience: 1 }, 1, 2, 3, 20, 20.1);
    expect(when(grown)).toEqual([4]);
    expect(grown[4]!.seen).toContain("10 times that of the first steps");
    expect(grown[4]!.cause).toBe("learning_rate_too_high");
    expect(when(found({ growth: 10, patience: 1 }, 1, 2, 900))).toEqual([]);
    // What is no number tells nothing of how large they are at the start.
    expect(when(found({ growth: 10, patience: 2 }, 1, NaN, 2, 3, 21, 21))).toEqual([5]);
    expect(when(found({ growth: 10, patience: 2 }, 1, NaN, 2, 3, 19, 19))).toEqual([]);
  });

  test("blames the initial weights while the loss is near its first value", () => {
    const at = (loss: number) =>
      watch("exploding_gradient", { patience: 1 }, [
        { ...observations([{ gradientNorm: 2000 }])[0], loss } as Reading,
      ])[0]!.cause;
    expect(at(2.9)).toBe("initial_weights_too_large");
    expect(at(3.1)).toBe("learning_rate_too_high");
  });
});

describe("vanishing_gradient", () => {
  test("compares root mean squares, so that the size of a layer does not matter", () => {
    const found = (first: Partial<LayerObservation>, last: Partial<LayerObservation>) =>
      when(watch("vanishing_gradient", { ratio: 0.01, patience: 1 }, observations([first, {}, last])));
    // 1 over √10,000 beside 1 over √1: a hundredth.
    expect(found({ parameters: 10_000, gradientNorm: 0.99 }, { parameters: 1 })).toEqual([0]);
    expect(found({ parameters: 10_000, gradientNorm: 1.01 }, { parameters: 1 })).toEqual([]);
    expect(found({ parameters: 1, gradientNorm: 0.001 }, { parameters: 10_000 })).toEqual([]);
  });

  test("leaves dead units to dead_relu, and counts observations in a row", () => {
    const faded = { gradientNorm: 1e-5 };
    const dead = { units: 10, deadUnits: 6 };
    const found = (...all: Partial<LayerObservation>[][]) =>
      when(watch("vanishing_gradient", { patience: 2 }, observations(...all)));
    expect(found([faded, {}], [{}, {}], [faded, {}], [faded, {}])).toEqual([3]);
    expect(found([faded, dead], [faded, dead])).toEqual([]);
    expect(found([faded, { units: 10, deadUnits: 5 }], [faded, {}])).toEqual([1]);
  });
});

describe("dead_relu", () => {
  const layer = (deadUnits: number, name = "1") => ({ name, parameters: 0, units: 10, deadUnits });
  const found = (run: RunFacts, ...all: Partial<LayerObservation>[][]) =>
    watch("dead_relu", { fraction: 0.5, patience: 2 }, observations(...all), run);

  test("reports the worst layer, after several observations in a row", () => {
    const all = [[layer(5)], [layer(6)], [layer(5)], [layer(6), layer(7, "3")], [layer(1), layer(8, "3")]];
    const reported = found(facts(), ...all);
    expect(when(reported)).toEqual([4]);
    expect(reported[4]).toMatchObject({ cause: "dead_units", data: { dead_fraction: 0.8, layer: "3" } });
  });

  test("measures the share of dead units in a layer, not their number", () => {
    const all = [layer(6), { ...layer(9, "3"), units: 20 }];
    expect(found(facts(), all, all)[1]).toMatchObject({ data: { dead_fraction: 0.6, layer: "1" } });
  });

  test("ignores batches of a few rows", () => {
    const all = [[layer(9)], [layer(9)]];
    expect(when(found(facts({ training: { batch_size: 15 } }), ...all))).toEqual([]);
    expect(when(found(facts({ training: { batch_size: 16 } }), ...all))).toEqual([1]);
  });
});

describe("update_ratio_out_of_range", () => {
  const options = { min: 1e-5, max: 0.3, patience: 2 };
  const found = (updates: readonly number[], changes: object = {}, run = facts()) =>
    watch(
      "update_ratio_out_of_range",
      options,
      updates.map((updateNorm) => ({ ...observations([{ updateNorm }])[0], ...changes }) as Reading),
      run,
    );

  test("finds steps that are too long, several times in a row", () => {
    expect(when(found([0.31, 0.29, 0.31, 0.31]))).toEqual([3]);
    expect(found([0.31, 0.31])[1]!.cause).toBe("learning_rate_too_high");
  });

  test("finds steps that are too short, while there is something to learn and the rate is not lowered", () => {
    expect(found([0.9e-5, 0.9e-5])[1]!.cause).toBe("learning_rate_too_low");
    expect(when(found([0.9e-5, 1.1e-5, 0.9e-5]))).toEqual([]);
    expect(when(found([0, 0], { loss: 0.69 }))).toEqual([]);
    expect(when(found([0, 0], { loss: 1.21 }))).toEqual([]);
    // The rate is 0.003.
    expect(when(found([0, 0], { learningRate: 2.9e-4 }))).toEqual([]);
    expect(when(found([0, 0], { learningRate: 3.1e-4 }))).toEqual([1]);
  });

  test("ignores the warm-up, and optimizers that find their own rate", () => {
    const warming = facts({ schedule: schedule("constant", { warmup_steps: 10 }) });
    expect(when(found([0, 0], { step: 10 }, warming))).toEqual([]);
    expect(when(found([0, 0], { step: 11 }, warming))).toEqual([1]);
    expect(when(found([0, 0], {}, facts({ optimizer: optimizer("prodigy", { lr: 0.003 }) })))).toEqual([]);
  });
});

describe("the readings of detectors", () => {
  /**
   * A detector that keeps what it is given: plateau's state has the average, diverging's the
   * lowest.
   */
  const states = (losses: readonly number[], totalSteps: number, changes: JobChanges = {}) => {
    const job = watched({ detectors: watchful(), ...changes });
    const diagnosis = new Diagnosis(job, totalSteps);
    const state = freshDiagnosis();
    losses.forEach((loss, i) => diagnosis.step(state, i + 1, loss, 0.003, null));
    return state;
  };

  test("are windows of a hundredth of the run, with 5 to 50 steps", () => {
    expect([1, 500, 501, 4900, 5000, 1e6].map(windowSteps)).toEqual([5, 5, 6, 49, 50, 50]);
    expect(states([4, 3, 2, 1, 0], 100).window).toEqual({ steps: 0, sum: 0, squares: 0 });
    expect(states([4, 3, 2, 1], 100).window).toEqual({ steps: 4, sum: 10, squares: 30 });
  });

  test("have the loss at the start: that of the first window, or a lower first loss if batches are large enough", () => {
    const start = (batch_size: number | "full", losses: number[]) =>
      states(losses, 100, { training: { batch_size } }).start;
    expect(start(8, [4, 3, 2, 1, 0])).toBe(2);
    expect(start(8, [1, 3, 4, 5, 7])).toBe(1);
    expect(start(7, [1, 3, 4, 5, 7])).toBe(4);
    expect(start("full", [4, 3, 2, 1, 0])).toBe(4);
    expect(start(8, [1, 2, 3])).toBeNull();
  });

  test("have the deviation of the losses of a window", () => {
    const noisy = { noisy_loss: { ratio: 0.75, patience: 1 } };
    const found = (losses: number[]) =>
      new Set(states(losses, 100, { detectors: watchful(noisy) }).findings.map(({ detector }) => detector));
    // Deviations of 1.47 from a mean of 1.2, and of 0.8 from one of 1.1.
    expect(found([0, 0, 3, 3, 0])).toContain("noisy_loss");
    expect(found([1, 0, 2, 2, 0.5])).not.toContain("noisy_loss");
  });

  test("are evaluations with the mean train loss since the last one, if they are finite", () => {
    const job = watched({ detectors: watchful({ overfitting: { patience: 1 } }) });
    const diagnosis = new Diagnosis(job, 1000);
    const state = freshDiagnosis();
    const epoch = (train: readonly number[], valid: number, at: number) => {
      train.forEach((loss, i) => diagnosis.step(state, at + i, loss, 0.003, null));
      return diagnosis.evaluated(state, at + train.length - 1, valid, 0.003);
    };
    expect(epoch([1, 0.6], 1, 1)).toEqual([]);
    expect(epoch([0.3], Infinity, 3)).toEqual([]);
    const [finding] = epoch([0.1], 2, 4);
    expect(finding.data).toMatchObject({ best: 1, best_step: 2, valid_loss: 2, train_loss: (0.3 + 0.1) / 2 });
    expect(diagnosis.evaluated(state, 5, 3, 0.003)).toEqual([]);
  });
});

describe("an observation of several layers", () => {
  const layers = [
    seen({
      gradientNorm: 3,
      weightNorm: 6,
      updateNorm: 0.3,
      firstMomentNorm: 1,
      secondMomentNorm: 1,
      units: 4,
      deadUnits: 1,
    }),
    seen({ name: "1", parameters: 0, gradientNorm: 0, weightNorm: 0, updateNorm: 0, units: 6, deadUnits: 4 }),
    seen({ name: "2", parameters: 1, gradientNorm: 4, weightNorm: 8, updateNorm: 0.4, firstMomentNorm: 2 }),
  ];

  test("has the norms of all layers together, and moments only if each layer that learns has them", () => {
    expect(wholeModel(layers)).toEqual({
      parameters: 5,
      gradientNorm: 5,
      weightNorm: 10,
      updateNorm: 0.5,
      firstMomentNorm: Math.sqrt(5),
      secondMomentNorm: null,
      units: 10,
      deadUnits: 5,
    });
  });

  test("gives the ratios, per layer if that is asked for", () => {
    expect(observedMetrics(layers, null, false)).toEqual({
      grad_norm: 5,
      update_ratio: 0.05,
      effective_learning_rate: 0.1,
      first_moment_norm: Math.sqrt(5),
      dead_fraction: 0.5,
    });
    const each = observedMetrics(layers, 0.25, true);
    expect(each.clipped_fraction).toBe(0.25);
    expect(Object.keys(each).filter((name) => name.endsWith(".1"))).toEqual(["dead_fraction.1"]);
    expect(each).toMatchObject({ "grad_norm.2": 4, "update_ratio.0": 0.3 / 6, "effective_learning_rate.2": 0.1 });
  });

  test("compares the last layer that learns with the first, by root mean squares", () => {
    expect(gradientFade(layers)).toBeCloseTo(3 / 2 / 4, 12);
    expect(gradientFade(layers.slice(1, 2).concat(layers))).toBeCloseTo(3 / 2 / 4, 12);
  });
});
