// Small jobs that are watched: sound ones, and ones with a fault.
import type { TrainingJob } from "../../../src/engine/job.ts";
import type { Member, DetectorSettings } from "../../../src/engine/settings.ts";
import { detectors } from "../../../src/engine/detectors/registry.generated.ts";
import type { TrainingData } from "../../../src/engine/training.ts";
import { classes, member, smallJob, type JobChanges } from "../../support/training.ts";
import { featuresOf, withFeatures } from "../../support/training.ts";

/** Every detector with the policy `warn` and its default thresholds, but for what is given. */
export function watchful(changes: Readonly<Record<string, object>> = {}): DetectorSettings {
  return Object.fromEntries(
    Object.keys(detectors).map((name) => {
      const { type: _, ...thresholds } = member("detectors", name);
      return [name, { policy: "warn", ...thresholds, ...changes[name] }];
    }),
  ) as DetectorSettings;
}

export const linear = (outputs: number | null, options: object = {}): Member =>
  member("layers", "linear", { out_features: outputs, ...options });
export const layer = (type: string): Member => member("layers", type);

/** A perceptron: so many units in each hidden layer, all under one activation. */
export const perceptron = (activation: string, ...widths: number[]): Member[] => [
  ...widths.flatMap((width) => [linear(width), layer(activation)]),
  linear(null),
];

export const schedule = (type: string, options: object = {}): Member => {
  const { warmup_steps = 0, interval = "step", ...own } = options as Record<string, unknown>;
  return { ...member("schedules", type, own), interval, warmup_steps };
};

export const optimizer = (type: string, options: object = {}): Member =>
  member("optimizers", type, options as Record<string, unknown>);

/**
 * A job with batches of 32 over `epochs` epochs, under adam and a constant rate unless told
 * otherwise, observed every fifth step.
 */
export function watched({ training, ...changes }: JobChanges = {}): TrainingJob {
  return smallJob({
    layers: perceptron("relu", 32, 16),
    optimizer: optimizer("adam", { lr: 0.003 }),
    schedule: schedule("constant"),
    observe: { every_steps: 5, per_layer: false },
    detectors: watchful(),
    data: classes(600, 8),
    ...changes,
    training: { epochs: 20, batch_size: 32, eval_every_epochs: 1, log_every_steps: 10, ...training },
  });
}

/** A number from −1.7 to 1.7 that has nothing to do with anything but `i`. */
const chance = (i: number): number => ((Math.imul(i + 7, 2654435761) >>> 9) / 2 ** 22 - 1) * 1.7;

/** `rows` samples whose target is a smooth function of two features plus noise. */
export function values(rows: number, { noise = 0.1, scale = 1, featureScale = 1 } = {}): TrainingData {
  const base = classes(rows, 6);
  const targets = new Float32Array(new SharedArrayBuffer(rows * 4));
  const features = new Float32Array(new SharedArrayBuffer(rows * 6 * 4));
  for (let i = 0; i < rows; i++) {
    const row = featuresOf(base).subarray(i * 6, i * 6 + 6);
    features.set(
      row.map((value) => value * 1.7 * featureScale),
      i * 6,
    );
    targets[i] = scale * (Math.sin(3 * row[0]) + row[1] + noise * chance(i));
  }
  return { ...withFeatures(base, features), targets, target: { classes: null, mean: 0, std: 1 } };
}

/** Classes with features on a scale of their own. */
export function scaledClasses(rows: number, width: number, scale: number, shift = 0): TrainingData {
  const base = classes(rows, width);
  const features = new Float32Array(new SharedArrayBuffer(rows * width * 4));
  features.set(featuresOf(base).map((value) => value * scale + shift));
  return withFeatures(base, features);
}

/** Classes that have nothing to do with the features. */
export function noise(rows: number, width: number): TrainingData {
  const base = classes(rows, width);
  const targets = new Int32Array(new SharedArrayBuffer(rows * 4));
  targets.set(
    Array.from({ length: rows }, (_, i) => Math.imul(i + 7, 2654435761) >>> 7).map((bits) => (bits >>> 0) % 3),
  );
  return { ...base, targets };
}

/** Classes of which two rows in three are given at random, so that the loss cannot fall far. */
export function noisyClasses(rows: number): TrainingData {
  const [learnable, random] = [classes(rows, 8), noise(rows, 8)];
  const targets = new Int32Array(new SharedArrayBuffer(rows * 4));
  targets.set(learnable.targets.map((target, i) => (i % 3 === 0 ? target : random.targets[i])));
  return { ...learnable, targets };
}
