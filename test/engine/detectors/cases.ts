// Some twenty jobs with one fault each, and twenty sound ones.
import type { Cause } from "../../../src/engine/detectors/causes.ts";
import type { TrainingJob } from "../../../src/engine/job.ts";
import { classes, member } from "../../support/training.ts";
import {
  layer,
  linear,
  noise,
  optimizer,
  perceptron,
  scaledClasses,
  schedule,
  values,
  watched,
  watchful,
} from "./jobs.ts";

export interface Sound {
  readonly name: string;
  readonly job: () => TrainingJob;
}

export interface Faulty extends Sound {
  /** Who finds it, and what is wrong. */
  readonly detector: string;
  readonly cause: Cause;
  /** What follows from that and may be found too. */
  readonly also?: readonly Cause[];
}

const mse = member("losses", "mse");

export const faulty: readonly Faulty[] = [
  {
    name: "a rate that leads the right way, too slowly for so few steps",
    job: () =>
      watched({ data: classes(180, 8), optimizer: optimizer("radam", { lr: 0.008 }), training: { epochs: 10 } }),
    detector: "plateau",
    cause: "learning_rate_too_low",
  },
  {
    name: "sgd at a rate of 30",
    job: () => watched({ optimizer: optimizer("sgd", { lr: 30, momentum: 0.9 }) }),
    detector: "diverging",
    cause: "learning_rate_too_high",
    also: ["dead_units"],
  },
  {
    name: "adam at a rate of 1",
    job: () => watched({ optimizer: optimizer("adam", { lr: 1 }) }),
    detector: "plateau",
    cause: "learning_rate_too_high",
    also: ["dead_units"],
  },
  {
    name: "weights that are thrown about",
    job: () => watched({ optimizer: optimizer("adam", { lr: 0.3 }), observe: { every_steps: 1, per_layer: false } }),
    detector: "update_ratio_out_of_range",
    cause: "learning_rate_too_high",
    also: ["dead_units"],
  },
  {
    name: "a regression at a rate that overshoots",
    job: () => watched({ data: values(600), loss: mse, optimizer: optimizer("sgd", { lr: 3 }) }),
    detector: "diverging",
    cause: "learning_rate_too_high",
    also: ["dead_units"],
  },
  {
    name: "a rate that grows without bound",
    job: () =>
      watched({ optimizer: optimizer("sgd", { lr: 0.01 }), schedule: schedule("exponential", { gamma: 1.05 }) }),
    detector: "diverging",
    cause: "learning_rate_too_high",
    also: ["dead_units"],
  },
  {
    name: "a rate that is too high, to be rewound",
    job: () =>
      watched({
        optimizer: optimizer("sgd", { lr: 30 }),
        detectors: watchful({
          diverging: { policy: "rewind", rewind: { every_steps: 5, window: 10, lr_factor: 0.5, max: 3 } },
        }),
      }),
    detector: "diverging",
    cause: "learning_rate_too_high",
    also: ["dead_units"],
  },
  {
    name: "adam at a millionth",
    job: () => watched({ optimizer: optimizer("adam", { lr: 1e-6 }) }),
    detector: "plateau",
    cause: "learning_rate_too_low",
  },
  {
    name: "sgd at a millionth, seen by the size of its updates",
    job: () => watched({ optimizer: optimizer("sgd", { lr: 1e-6 }) }),
    detector: "update_ratio_out_of_range",
    cause: "learning_rate_too_low",
  },
  {
    name: "full batches at a rate too low, without observation",
    job: () =>
      watched({
        optimizer: optimizer("sgd", { lr: 1e-4 }),
        observe: null,
        training: { batch_size: "full", epochs: 100 },
      }),
    detector: "plateau",
    cause: "learning_rate_too_low",
  },
  {
    name: "eight layers of sigmoids",
    job: () => watched({ layers: perceptron("sigmoid", 16, 16, 16, 16, 16, 16, 16, 16) }),
    detector: "vanishing_gradient",
    cause: "saturating_activations",
  },
  {
    name: "six layers of sigmoids under sgd",
    job: () =>
      watched({ layers: perceptron("sigmoid", 24, 24, 24, 24, 24, 24), optimizer: optimizer("sgd", { lr: 0.1 }) }),
    detector: "vanishing_gradient",
    cause: "saturating_activations",
  },
  {
    name: "units that a first step at a high rate has killed",
    job: () => watched({ optimizer: optimizer("sgd", { lr: 8 }), layers: perceptron("relu", 64) }),
    detector: "dead_relu",
    cause: "dead_units",
    also: ["learning_rate_too_high"],
  },
  {
    name: "units that start dead",
    job: () =>
      watched({ layers: [linear(32, { weight_init: "zeros", bias_init: "zeros" }), layer("relu"), linear(null)] }),
    detector: "dead_relu",
    cause: "dead_units",
  },
  {
    name: "units killed by features far from 0",
    job: () => watched({ data: scaledClasses(600, 8, 30, 300), optimizer: optimizer("sgd", { lr: 0.01 }) }),
    detector: "dead_relu",
    cause: "features_unscaled",
  },
  {
    name: "features in the thousands",
    job: () =>
      watched({
        data: scaledClasses(600, 8, 3000),
        optimizer: optimizer("sgd", { lr: 0.1 }),
        layers: perceptron("tanh", 16),
      }),
    detector: "vanishing_gradient",
    cause: "features_unscaled",
  },
  {
    name: "features in the thousands of a regression",
    job: () =>
      watched({
        data: values(600, { featureScale: 3000 }),
        loss: mse,
        optimizer: optimizer("sgd", { lr: 1e-3 }),
        layers: [linear(null)],
      }),
    detector: "diverging",
    cause: "features_unscaled",
  },
  {
    name: "a target in the thousands",
    job: () => watched({ data: values(600, { scale: 5000 }), loss: mse, optimizer: optimizer("adam", { lr: 0.003 }) }),
    detector: "exploding_gradient",
    cause: "targets_unscaled",
  },
  {
    name: "thirty rows for a large model",
    job: () => watched({ data: noise(38, 8), layers: perceptron("relu", 128, 64), training: { epochs: 150 } }),
    detector: "overfitting",
    cause: "overfitting",
  },
  {
    name: "thirty rows of a noisy regression",
    job: () =>
      watched({
        data: values(38, { noise: 2 }),
        loss: mse,
        layers: perceptron("tanh", 64, 64),
        training: { epochs: 300, eval_every_epochs: 5 },
      }),
    detector: "overfitting",
    cause: "overfitting",
  },
  {
    name: "features that say nothing",
    job: () => watched({ data: noise(600, 3), layers: perceptron("relu", 4), training: { epochs: 20 } }),
    detector: "plateau",
    cause: "not_learning",
  },
  {
    name: "one row a step of a noisy regression",
    job: () =>
      watched({
        data: values(300, { noise: 2 }),
        loss: mse,
        training: { batch_size: 1, epochs: 4 },
        optimizer: optimizer("sgd", { lr: 0.01 }),
      }),
    detector: "noisy_loss",
    cause: "batch_too_small",
  },
  {
    name: "twenty layers whose weights each make gradients larger",
    job: () =>
      watched({
        layers: [...Array.from({ length: 20 }, () => linear(24, { weight_init: "kaiming_normal" })), linear(null)],
        optimizer: optimizer("adam", { lr: 1e-5 }),
      }),
    detector: "exploding_gradient",
    cause: "initial_weights_too_large",
  },
];

export const healthy: readonly Sound[] = [
  { name: "adam", job: () => watched() },
  {
    name: "prodigy, whose first steps are short",
    job: () =>
      watched({
        optimizer: optimizer("prodigy", { use_bias_correction: true }),
        observe: { every_steps: 1, per_layer: false },
      }),
  },
  {
    name: "L-BFGS, which is done before it is looked at",
    job: () =>
      watched({
        data: values(600),
        loss: mse,
        layers: [linear(null)],
        optimizer: optimizer("lbfgs", { line_search_fn: "strong_wolfe" }),
        training: { batch_size: "full", epochs: 40, log_every_steps: 1 },
      }),
  },
  {
    name: "looked at in the last batch of each epoch alone, which has one row",
    job: () =>
      watched({
        layers: perceptron("relu", 128, 64),
        optimizer: optimizer("adam", { lr: 0.02 }),
        data: classes(602, 8),
        observe: { every_steps: 16, per_layer: true },
      }),
  },
  {
    name: "adam, wide",
    job: () => watched({ layers: perceptron("relu", 128, 64), optimizer: optimizer("adam", { lr: 1e-3 }) }),
  },
  {
    name: "adamw under a cosine",
    job: () =>
      watched({ optimizer: optimizer("adamw", { lr: 0.005 }), schedule: schedule("cosine_annealing", { t_max: 300 }) }),
  },
  { name: "sgd with momentum", job: () => watched({ optimizer: optimizer("sgd", { lr: 0.1, momentum: 0.9 }) }) },
  { name: "plain sgd", job: () => watched({ optimizer: optimizer("sgd", { lr: 0.3 }), training: { epochs: 40 } }) },
  { name: "rmsprop", job: () => watched({ optimizer: optimizer("rmsprop", { lr: 0.002 }) }) },
  { name: "lamb", job: () => watched({ optimizer: optimizer("lamb", { lr: 0.01 }) }) },
  { name: "schedule-free adamw", job: () => watched({ optimizer: optimizer("schedule_free_adamw", { lr: 0.01 }) }) },
  {
    name: "logistic regression",
    job: () => watched({ layers: [linear(null)], optimizer: optimizer("sgd", { lr: 0.5 }) }),
  },
  {
    name: "one cycle with its momentum",
    job: () =>
      watched({
        optimizer: optimizer("sgd", { lr: 0.1, momentum: 0.9 }),
        schedule: schedule("one_cycle", { max_lr: 0.3, total_steps: 300 }),
      }),
  },
  {
    name: "a warm-up and an inverse root",
    job: () =>
      watched({ schedule: schedule("inverse_sqrt", { warmup: 30 }), optimizer: optimizer("adam", { lr: 0.01 }) }),
  },
  {
    name: "warm restarts",
    job: () =>
      watched({
        schedule: schedule("cosine_annealing_warm_restarts", { t_0: 50 }),
        optimizer: optimizer("adam", { lr: 0.01 }),
      }),
  },
  { name: "a regression", job: () => watched({ data: values(600), loss: mse }) },
  { name: "a noisy regression", job: () => watched({ data: values(600, { noise: 0.7 }), loss: mse }) },
  {
    name: "a regression under huber and gelu",
    job: () => watched({ data: values(400), loss: member("losses", "huber"), layers: perceptron("gelu", 32, 32) }),
  },
  { name: "three layers of tanh", job: () => watched({ layers: perceptron("tanh", 32, 32, 32) }) },
  {
    name: "dropout and a clipped gradient",
    job: () =>
      watched({ layers: [linear(64), layer("relu"), layer("dropout"), linear(null)], training: { clip_grad_norm: 1 } }),
  },
  {
    name: "a few rows, trained until they are known",
    job: () => watched({ data: classes(150, 4), training: { epochs: 60 } }),
  },
  {
    name: "small batches",
    job: () => watched({ training: { batch_size: 8, epochs: 10 }, optimizer: optimizer("sgd", { lr: 0.05 }) }),
  },
  {
    name: "full batches",
    job: () => watched({ training: { batch_size: "full", epochs: 100 }, optimizer: optimizer("adam", { lr: 0.01 }) }),
  },
];
