// Every option of a job that may have to do with who computes what, and jobs made of choices among
// them.
import type { DetectorSettings, ParameterGroup } from "../../src/engine/settings.ts";
import type { TrainingJob } from "../../src/engine/job.ts";
import type { Choice, Excluded, Factors, Row } from "../support/pairs.ts";
import { classes, member, smallJob, type JobChanges } from "../support/training.ts";
import { layer, linear, optimizer, schedule, values, watchful } from "./detectors/jobs.ts";

type Training = JobChanges["training"];
type Levels<T> = Readonly<Record<string, T>>;

const crossEntropy = (options: object) => ({
  loss: member("losses", "cross_entropy", options as Record<string, unknown>),
  data: classes(60, 6),
});

/** Targets of which half are 1. */
function binary() {
  const data = values(60);
  data.targets.forEach((value, row) => (data.targets[row] = Number(value > 0)));
  return data;
}

const losses: Levels<() => Pick<JobChanges, "loss" | "data">> = {
  cross_entropy: () => crossEntropy({}),
  weighted: () => crossEntropy({ weight: { "0": 5, "2": 0.3 } }),
  ignoring: () => crossEntropy({ ignore_class: "1" }),
  smoothed: () => crossEntropy({ weight: { "1": 0.1 }, ignore_class: "0", label_smoothing: 0.2 }),
  mse: () => ({ loss: member("losses", "mse"), data: values(60) }),
  bce: () => ({ loss: member("losses", "bce_with_logits", { pos_weight: [3] }), data: binary() }),
};

/** One of each way in which an optimizer is run. */
const optimizers: Levels<() => TrainingJob["optimizer"]> = {
  sgd: () => optimizer("sgd", { lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.01 }),
  adam: () => optimizer("adam", { lr: 0.01, amsgrad: true }),
  asgd: () => optimizer("asgd", { lr: 0.05, t0: 5 }),
  rprop: () => optimizer("rprop"),
  ftrl: () => optimizer("ftrl", { lr: 0.1, l1: 0.01 }),
  lamb: () => optimizer("lamb", { lr: 0.01 }),
  novograd: () => optimizer("novograd", { lr: 0.01 }),
  adafactor: () => optimizer("adafactor"),
  muon: () => optimizer("muon", { lr: 0.02 }),
  prodigy: () => optimizer("prodigy"),
  lookahead: () => optimizer("lookahead", { sync_period: 3 }),
  schedule_free: () => optimizer("schedule_free_adamw", { lr: 0.01, warmup_steps: 3 }),
  lbfgs: () => optimizer("lbfgs", { lr: 0.1, max_iter: 4, history_size: 3 }),
  searching: () => optimizer("lbfgs", { max_iter: 4, history_size: 3, line_search_fn: "strong_wolfe" }),
};

const batches: Levels<Training> = {
  small: { batch_size: 7 },
  dropped: { batch_size: 10, drop_last: true },
  full: { batch_size: "full", epochs: 12 },
  accumulated: { batch_size: 7, gradient_accumulation_steps: 3 },
  // Fewer rows than threads.
  lastBatchDropped: { batch_size: 3, gradient_accumulation_steps: 4, drop_last: true },
};

const clips: Levels<Training> = {
  none: {},
  value: { clip_grad_value: 0.01 },
  norm: { clip_grad_norm: 0.1 },
  largest: { clip_grad_norm: { max_norm: 0.02, norm_type: "inf" } },
  adaptive: { clip_grad_adaptive: { clipping: 0.02, eps: 1e-3 } },
  all: {
    clip_grad_value: 0.05,
    clip_grad_norm: { max_norm: 0.1, norm_type: 3 },
    clip_grad_adaptive: { clipping: 0.05, eps: 1e-3 },
  },
};

const averages: Levels<Training> = {
  none: {},
  ema: { averaging: { type: "ema", decay: 0.8, start_step: 2, every_steps: 2 } },
  swa: { averaging: { type: "swa", start_step: 5, every_steps: 1 } },
};

const group = (parameters: string, changes: Partial<ParameterGroup>): ParameterGroup => ({
  parameters,
  lr: null,
  lr_scale: 1,
  weight_decay: null,
  freeze: false,
  ...changes,
});

const groups: Levels<ParameterGroup[]> = {
  none: [],
  rates: [group("*.bias", { lr: 0.002 }), group("0.*", { lr_scale: 0.5 })],
  frozen: [group("0.*", { freeze: true })],
  mixed: [group("*.bias", { freeze: true }), group("2.*", { lr_scale: 3 })],
};

const schedules: Levels<() => TrainingJob["optimizer"]> = {
  constant: () => schedule("constant"),
  cosine: () => schedule("cosine_annealing", { t_max: 12, warmup_steps: 3 }),
  cycle: () => schedule("one_cycle", { max_lr: 0.02, total_steps: 200 }),
  followed: () => schedule("reduce_on_plateau", { patience: 0, threshold: 0.2, factor: 0.5 }),
  trained: () => schedule("reduce_on_plateau", { metric: "train_loss", every_steps: 2, patience: 0, factor: 0.7 }),
};

const stopping: Levels<Training> = {
  none: {},
  loss: { early_stopping: { metric: "valid_loss", mode: "min", patience: 2, min_delta: 0.3 } },
  accuracy: { early_stopping: { metric: "valid_accuracy", mode: "max", patience: 1, min_delta: 0.05 } },
  rung: {
    pruning: {
      metric: "valid_accuracy",
      rungs: [
        { epoch: 1, value: null },
        { epoch: 2, value: 0.9 },
      ],
    },
  },
};

/** What detectors do about what they find soon. */
const detectors: Levels<DetectorSettings | undefined> = {
  none: undefined,
  warn: watchful({ noisy_loss: { ratio: 0.01, patience: 1 }, dead_relu: { fraction: 0.01, patience: 1 } }),
  stop: watchful({ plateau: { policy: "stop", after: 0.3, min_drop: 0.9 } }),
  rewind: watchful({
    diverging: { policy: "rewind", factor: 1.01, rewind: { every_steps: 2, window: 4, lr_factor: 0.5, max: 3 } },
  }),
};

const table = { losses, optimizers, batches, clips, averages, groups, schedules, stopping, detectors };

export const factors: Factors = {
  ...Object.fromEntries(Object.entries(table).map(([name, levels]) => [name, Object.keys(levels)])),
  shape: ["small", "wide"],
  noise: ["none", "some"],
  dropout: ["none", "some"],
  observe: ["none", "every", "third"],
  validation: ["none", "every", "second"],
  best: ["none", "kept"],
  order: ["shuffled", "plain"],
  threads: ["2", "3", "5"],
  checkpoints: ["1", "2", "5"],
  resumedAt: ["first", "middle", "last"],
  resumedBy: ["1", "2", "4"],
};

const searches = (level: string) => level === "lbfgs" || level === "searching";
const sumsUpModel = (level: string) => searches(level) || level === "prodigy";
const averagesItself = (level: string) => level === "schedule_free" || level === "lookahead";
const RANDOM = ["noise=some", "dropout=some"];

/** What a spec with both is refused for. */
export const excluded: Excluded = (a: Choice, b: Choice) => {
  const other = `${b.factor}=${b.level}`;
  if (a.factor === "optimizers") {
    if (searches(a.level) && (RANDOM.includes(other) || (b.factor === "batches" && b.level !== "full"))) return true;
    if (sumsUpModel(a.level) && b.factor === "groups" && !["none", "frozen"].includes(b.level)) return true;
    if (averagesItself(a.level) && b.factor === "averages" && b.level !== "none") return true;
  }
  if (a.factor === "losses" && a.level === "mse" && other === "stopping=accuracy") return true;
  if (a.factor !== "validation" || a.level !== "none") return false;
  return (b.factor === "stopping" && b.level !== "none") || other === "schedules=followed";
};

/** A job of these choices, small: six to thirty steps. */
export function jobOf(row: Row): TrainingJob {
  const width = row.shape === "wide" ? 700 : 9;
  const dropout = row.dropout === "some" ? [member("layers", "dropout", { p: 0.3 })] : [];
  const { data, loss } = losses[row.losses]();
  return smallJob({
    layers: [linear(width), layer("relu"), linear(7), layer("tanh"), ...dropout, linear(null)],
    data: row.validation === "none" ? { ...data!, validRows: data!.validRows.subarray(0, 0) } : data,
    loss,
    optimizer: optimizers[row.optimizers](),
    groups: groups[row.groups],
    schedule: schedules[row.schedules](),
    detectors: detectors[row.detectors],
    observe: row.observe === "none" ? null : { every_steps: row.observe === "every" ? 1 : 3, per_layer: true },
    keepBest: row.best === "kept",
    training: {
      epochs: 5,
      shuffle: row.order === "shuffled",
      log_every_steps: 1,
      eval_every_epochs: row.validation === "second" ? 2 : 1,
      gradient_noise: row.noise === "some" ? { eta: 1e-4, gamma: 0.55 } : null,
      ...batches[row.batches],
      ...clips[row.clips],
      ...averages[row.averages],
      ...stopping[row.stopping],
    },
  });
}
