import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { DatasetFiles } from "../../../src/data/files/dataset-files.ts";
import { Problem } from "../../../src/contract/errors.ts";
import { resolveSpec, withoutDerived } from "../../../src/contract/resolve/resolve.ts";
import type { Dataset } from "../../../src/contract/wire/dataset.ts";
import { csv, specFor } from "../../api/service.ts";
import { datasetFiles, LIMIT_BYTES } from "../../data/support.ts";
import { ingest } from "../../support/datasets.ts";
import { noOtherJobs } from "../../support/contexts.ts";

const id = "ds_01k3w9d0c8v6m2q4r7t5x1y9za";
const MiB = 2 ** 20;

const nothing = { ...noOtherJobs, webhookFaults: () => [] };

async function resolve(body: unknown, { text = csv, maxMemoryBytes = 64 * MiB, maxStateBytes = 8 * MiB } = {}) {
  const { files } = await datasetFiles();
  const content = await ingest(files, Readable.from([text]), LIMIT_BYTES);
  const record: Dataset = { id, name: null, created_at: "2026-11-22T00:00:00.000Z", ...content };
  const dataset = async (wanted: string) => (wanted === id ? record : null);
  return resolveSpec(body, { dataset, files, maxMemoryBytes, maxStateBytes, ...nothing });
}

async function faultsOf(changes: Record<string, unknown>, options = {}): Promise<string[]> {
  const problem = await resolve(specFor(id, changes), options).then(
    () => null,
    (error: unknown) => error,
  );
  if (problem === null) return [];
  if (!(problem instanceof Problem)) throw problem;
  expect(problem.code).toBe("invalid_spec");
  return problem.members.errors!.map((fault) => `${fault.pointer} ${fault.message}`);
}

const training = (changes: object) => ({ training: { epochs: 3, batch_size: 4, ...changes } });
const data = (changes: object) => ({ data: { dataset: id, target: "label", validation: { every: 5 }, ...changes } });
const regression = { loss: { type: "mse" }, ...data({ target: "price" }) };

test("steps and the log interval follow from the rows that train", async () => {
  const whole = await resolve(specFor(id));
  expect([whole.totalSteps, whole.spec.training.log_every_steps]).toEqual([3 * 4, 1]);
  const short = await resolve(specFor(id, training({ batch_size: 5, drop_last: true, epochs: 1000 })));
  expect([short.totalSteps, short.spec.training.log_every_steps]).toEqual([3000, 3]);
  const accumulated = await resolve(specFor(id, training({ gradient_accumulation_steps: 3, epochs: 1000 })));
  expect([accumulated.totalSteps, accumulated.spec.training.log_every_steps]).toEqual([2000, 2]);
  const full = await resolve(specFor(id, training({ batch_size: "full" })));
  expect([full.totalSteps, full.spec.training.batch_size]).toEqual([3, "full"]);
});

test("an open length of a schedule becomes that of the training; other lengths get a warning", async () => {
  const cosine = async (schedule: object, changes = {}) =>
    await resolve(specFor(id, { schedule: { type: "cosine_annealing", ...schedule }, ...changes }));
  const whole = await cosine({});
  expect(whole.spec.schedule.t_max).toBe(12);
  expect((await cosine({ t_max: null })).spec).toEqual(whole.spec);
  expect((await cosine({ t_max: 12 })).specSha256).toBe(whole.specSha256);
  expect((await cosine({ warmup_steps: 2 })).spec.schedule.t_max).toBe(10);
  expect((await cosine({ interval: "epoch" })).spec.schedule.t_max).toBe(3);
  expect(whole.warnings).toEqual([]);
  const { warnings } = await cosine({ t_max: 100 });
  expect(warnings).toMatchObject([{ pointer: "/schedule/t_max", code: "schedule_ends_late" }]);
  // For a fork of more epochs.
  expect(withoutDerived(whole.spec, whole.totalSteps).schedule.t_max).toBeNull();
  const chosen = (await cosine({ t_max: 11 })).spec;
  expect(withoutDerived(chosen, whole.totalSteps).schedule.t_max).toBe(11);
});

test("a metric that is undefined on the validation rows is refused where something depends on it", async () => {
  const rows = (label: (i: number) => string | number) =>
    ["x,label", ...Array.from({ length: 20 }, (_, i) => `${i * 0.1},${label(i)}`)].join("\n");
  const stop = (metric: string) => training({ early_stopping: { patience: 1, metric } });
  const plateau = (metric: string) => ({ schedule: { type: "reduce_on_plateau", metric } });
  const faults = (text: string, ...changes: object[]) => faultsOf(Object.assign({}, ...changes), { text });
  // Every fifth row validates.
  const oneClass = rows((i) => (i % 5 === 0 || i % 2 === 0 ? "cat" : "dog"));
  const why = "cannot use: all rows that validate are of one class";
  expect(await faults(oneClass, stop("valid_auc"))).toEqual([
    `/training/early_stopping/metric names valid_auc, which early stopping ${why}`,
  ]);
  expect(await faults(oneClass, plateau("valid_auc"))).toEqual([
    `/schedule/metric names valid_auc, which the schedule ${why}`,
  ]);
  expect(await faults(oneClass, stop("valid_macro_f1"))).toEqual([]);
  const mse = { loss: { type: "mse" } };
  const constant = rows((i) => (i % 5 === 0 ? 0.3 : i));
  expect(await faults(constant, mse, stop("valid_r2"))).toEqual([
    "/training/early_stopping/metric names valid_r2, which early stopping cannot use: all rows that validate have the same target",
  ]);
  expect(await faults(constant, mse, stop("valid_rmse"))).toEqual([]);
  const bce = { loss: { type: "bce_with_logits" } };
  const soft = (at: number) => rows((i) => (i === at ? 0.5 : i % 2));
  for (const metric of ["valid_accuracy", "valid_macro_f1", "valid_precision", "valid_recall", "valid_auc"]) {
    expect(await faults(soft(5), bce, stop(metric))).toEqual([
      `/training/early_stopping/metric names ${metric}, which early stopping cannot use: a row that validates has a target between 0 and 1, which is no class`,
    ]);
    expect(await faults(soft(6), bce, stop(metric))).toEqual([]);
  }
  expect(await faults(soft(5), bce, stop("valid_log_loss"))).toEqual([]);
  expect(await faults(soft(5), bce, { checkpoint: { keep_best: true } })).toEqual([]);
});

test("a target that is the same in all training rows gets a warning", async () => {
  const rows = (price: (i: number) => number) =>
    ["x,label", ...Array.from({ length: 20 }, (_, i) => `${i},${price(i)}`)].join("\n");
  const warned = async (text: string, type: string) =>
    (await resolve(specFor(id, { loss: { type } }), { text })).warnings.map(({ pointer, code }) => [pointer, code]);
  expect(
    await warned(
      rows((i) => Number(i % 5 === 0)),
      "mse",
    ),
  ).toEqual([["/data/target", "constant_target"]]);
  expect(
    await warned(
      rows((i) => Number(i % 5 === 0)),
      "bce_with_logits",
    ),
  ).toEqual([["/data/target", "constant_target"]]);
  expect(
    await warned(
      rows((i) => Number(i % 5 === 0)),
      "cross_entropy",
    ),
  ).toEqual([["/data/validation", "untrained_class"]]);
  expect(
    await warned(
      rows((i) => Number(i === 1)),
      "mse",
    ),
  ).toEqual([]);
});

test("defaults from the number of steps can be opened again, and chosen values stay", async () => {
  const reopened = async (rewind: object | null, every: number | null) => {
    const detectors = { diverging: { policy: "rewind", rewind } };
    const changes = { ...training({ epochs: 1000, log_every_steps: every }), detectors };
    const { spec, totalSteps } = await resolve(specFor(id, changes));
    const open = withoutDerived(spec, totalSteps);
    expect((await resolve(open)).spec).toEqual(spec);
    return [open.detectors.diverging.rewind, open.training.log_every_steps];
  };
  expect(await reopened(null, null)).toEqual([null, null]);
  const kept = { every_steps: 70, window: null, lr_factor: 0.5, max: 3 };
  expect(await reopened({ every_steps: 70 }, 7)).toEqual([kept, 7]);
  expect(await reopened({ lr_factor: 0.3 }, 4)).toEqual([{ ...kept, every_steps: null, lr_factor: 0.3 }, null]);
});

test("early stopping and a schedule that follows a metric use the direction of the metric", async () => {
  const stopping = (early_stopping: object) => training({ early_stopping: { patience: 2, ...early_stopping } });
  const following = (options: object) => ({ schedule: { type: "reduce_on_plateau", ...options } });
  const valid = (changes: Record<string, object>) => ({ ...data({ validation: { every: 3 } }), ...changes });
  const mode = async (metric: string) => {
    const { spec } = await resolve(specFor(id, valid(stopping({ metric }))));
    return spec.training.early_stopping!.mode;
  };
  expect(await mode("valid_accuracy")).toBe("max");
  expect(await mode("valid_macro_f1")).toBe("max");
  expect(await mode("valid_loss")).toBe("min");

  const accuracy = { metric: "valid_accuracy", mode: "min" };
  const wrong = valid({ ...stopping(accuracy), ...following(accuracy) });
  const message = 'must be "max", or left out: valid_accuracy gets better as it rises';
  expect(await faultsOf(wrong)).toEqual([`/training/early_stopping/mode ${message}`, `/schedule/mode ${message}`]);
});

test("a fork of a job that was stored with a wrong direction uses the right one", async () => {
  const accuracy = { metric: "valid_accuracy", mode: "min" } as const;
  const good = {
    ...data({ validation: { every: 3 } }),
    schedule: { type: "reduce_on_plateau", ...accuracy, mode: "max" },
  };
  const stopping = training({ early_stopping: { ...accuracy, mode: "max", patience: 2 } });
  const { spec, totalSteps } = await resolve(specFor(id, { ...good, ...stopping }));
  const stored = {
    ...spec,
    schedule: { ...spec.schedule, mode: "min" },
    training: { ...spec.training, early_stopping: { ...spec.training.early_stopping!, mode: "min" as const } },
  };
  const forked = (await resolve(withoutDerived(stored, totalSteps))).spec;
  expect(forked.training.early_stopping!.mode).toBe("max");
  expect(forked.schedule.mode).toBeNull();
  // What is right stays as it was written, so that a fork that changes nothing ends with its
  // parent's bytes.
  expect(withoutDerived(spec, totalSteps).schedule).toEqual(spec.schedule);
});

test("a target of one class is refused", async () => {
  const text = "x0,label\n1,a\n2,a\n3,a\n4,a\n";
  expect(await faultsOf(data({ validation: null }), { text })).toEqual([
    '/data/target names "label", which has only one class, "a": a target needs at least two',
  ]);
});

test("default features are filled in, without the target and the validation column", async () => {
  const text = csv.replaceAll(/^(.*)$/gm, (line) => `${line},${line.startsWith("x") ? "test" : line.length % 2}`);
  const { spec } = await resolve(specFor(id, data({ validation: { column: "test" } })), { text });
  expect(spec.data.features).toEqual(["x", "y", "colour", "price"]);
  const { spec: chosen } = await resolve(specFor(id, data({ features: ["price", "x"] })));
  expect(chosen.data.features).toEqual(["price", "x"]);
  expect(chosen.model.layers[0]).toMatchObject({ in_features: 2, out_features: 8, name: "0" });
});

test("the estimate of memory includes the data", async () => {
  const few = await resolve(specFor(id, data({ features: ["x"] })));
  const many = await resolve(specFor(id, { ...data({ features: ["x", "y"] }) }));
  expect(many.memoryBytes - few.memoryBytes).toBeGreaterThanOrEqual(20 * 4);
});

const oneCycle = { type: "one_cycle", max_lr: 1, total_steps: 9 };

test.each([
  [
    training({ averaging: { type: "swa", start_step: 10, every_steps: 3 } }),
    ["/training/averaging/start_step leaves no step to average: the job has 12"],
  ],
  [training({ averaging: { type: "swa", start_step: 9, every_steps: 3 } }), []],
  [
    { ...training({ averaging: { type: "ema" } }), optimizer: { type: "lookahead" } },
    ["/training/averaging must be null: lookahead is evaluated with averages of its own"],
  ],
  [
    {
      ...training({ batch_size: "full", gradient_accumulation_steps: 2, gradient_noise: { eta: 1 } }),
      optimizer: { type: "lbfgs" },
    },
    [
      "/training/gradient_accumulation_steps must be 1: lbfgs takes all rows as one batch",
      "/training/gradient_noise is random, and lbfgs compares losses of different weights: leave it out or use adam",
    ],
  ],
  [data({ dataset: "ds_01k3w9d0c8v6m2q4r7t5x1y9zb" }), ["/data/dataset names a dataset that does not exist"]],
  [data({ target: "lable" }), [expect.stringMatching(/^\/data\/target names "lable", and the dataset has only "x"/)]],
  [data({ features: ["x", "z"] }), [expect.stringMatching(/^\/data\/features\/1 names "z"/)]],
  [{ loss: { type: "mse" } }, [expect.stringMatching(/^\/data\/target names "label", which is not numeric/)]],
  [
    data({ target: "price" }),
    [expect.stringMatching(/^\/data\/target names "price", whose values .* are not classes/)],
  ],
  [
    { schedule: { type: "reduce_on_plateau" }, ...data({ validation: null }) },
    ['/schedule/metric needs validation; set /data/validation, or follow "train_loss"'],
  ],
  [{ schedule: { type: "reduce_on_plateau", metric: "train_loss" }, ...data({ validation: null }) }, []],
  [
    { schedule: { type: "reduce_on_plateau", metric: "valid_r2" } },
    [
      "/schedule/metric must be one of valid_accuracy, valid_auc, valid_log_loss, valid_loss, valid_macro_f1, valid_perplexity, valid_precision, valid_recall, valid_top5_accuracy under cross_entropy",
    ],
  ],
  [
    { schedule: { type: "reduce_on_plateau", every_steps: 3 } },
    ["/schedule/every_steps must be null: valid_loss comes from evaluations (training.eval_every_epochs)"],
  ],
  [
    { schedule: oneCycle, optimizer: { type: "adagrad" } },
    ["/schedule/cycle_momentum must be false: adagrad has no momentum that a schedule can cycle"],
  ],
  [
    { schedule: oneCycle, optimizer: { type: "lookahead", optimizer: { type: "rmsprop" } } },
    [expect.stringMatching(/^\/schedule\/cycle_momentum must be .* optimizer\.momentum of the optimizer above 0/)],
  ],
  [{ schedule: oneCycle, optimizer: { type: "adam", dialect: "keras", beta_1: 0 } }, []],
  [
    { schedule: oneCycle, optimizer: { type: "sgd" } },
    [expect.stringMatching(/^\/schedule\/cycle_momentum must be false, or momentum of the optimizer above 0/)],
  ],
  [{ schedule: oneCycle }, []],
  [training({ batch_size: 17 }), ['/training/batch_size must be at most 16, the rows that train, or "full"']],
  [
    training({ epochs: 100_000, batch_size: 1, log_every_steps: 15 }),
    ["/training/log_every_steps must be at least 16 for 1600000 steps, or null"],
  ],
  [
    { ...training({ epochs: 100_000, batch_size: 1 }), observe: { every_steps: 15 } },
    ["/observe/every_steps must be at least 16 for 1600000 steps"],
  ],
  [
    { ...training({ epochs: 100_000, batch_size: 1 }), observe: { every_steps: 63, per_layer: true } },
    ["/observe/every_steps must be at least 64 for 1600000 steps of 3 layers"],
  ],
  [
    {
      ...data({ validation: null }),
      ...training({ early_stopping: { patience: 1 } }),
      checkpoint: { keep_best: true },
    },
    [
      "/training/early_stopping needs validation; set /data/validation",
      "/checkpoint/keep_best needs validation; set /data/validation",
    ],
  ],
  [
    training({ early_stopping: { patience: 1, metric: "valid_r2" } }),
    [
      "/training/early_stopping/metric must be one of valid_accuracy, valid_auc, valid_log_loss, valid_loss, valid_macro_f1, valid_perplexity, valid_precision, valid_recall, valid_top5_accuracy under cross_entropy",
    ],
  ],
  [
    { ...regression, ...training({ early_stopping: { patience: 1, metric: "valid_accuracy" } }) },
    ["/training/early_stopping/metric must be one of valid_loss, valid_mae, valid_r2, valid_rmse under mse"],
  ],
  [
    { loss: { type: "cross_entropy", weight: { cat: 2, dgo: 1, bird: 3 } } },
    [
      '/loss/weight/dgo is not a class of "label"; did you mean "dog"?',
      '/loss/weight/bird is not a class of "label", whose classes are "cat", "dog"',
    ],
  ],
  [
    {
      model: {
        layers: [
          { type: "linear", out_features: 8 },
          { type: "linear", out_features: 3 },
        ],
      },
    },
    [expect.stringMatching(/^\/model\/layers\/1\/out_features makes the model give \[3\]/)],
  ],
  [
    {
      model: {
        layers: [
          { type: "linear", name: "a", in_features: 4, out_features: 8 },
          { type: "linear", name: "a" },
        ],
      },
    },
    [
      expect.stringMatching(/^\/model\/layers\/0\/in_features is 4/),
      expect.stringMatching(/^\/model\/layers\/1\/name "a"/),
    ],
  ],
  [
    { model: { layers: [{ type: "relu" }] } },
    [expect.stringMatching(/^\/model/), expect.stringMatching(/^\/model\/layers has nothing/)],
  ],
])("%j", async (changes, faults) => {
  expect(await faultsOf(changes)).toEqual(faults);
});

test("messages about limits name the variable that sets them", async () => {
  const wide = { model: { layers: [{ type: "linear", out_features: 1_000_000 }, { type: "linear" }] } };
  expect(await faultsOf(wide)).toEqual([
    expect.stringMatching(
      /^\/model makes the job take \d+\.\d MiB of memory; it may take 64.0 MiB \(RAPPEL_MAX_JOB_BYTES\)$/,
    ),
    expect.stringMatching(/^\/model makes a checkpoint take \d+\.\d MiB; it may take 8.0 MiB \(RAPPEL_MAX_STATE_BYTES/),
  ]);
  const huge = { model: { layers: Array.from({ length: 3 }, () => ({ type: "linear", out_features: 1_000_000 })) } };
  expect((await faultsOf(huge))[0]).toMatch(/^\/model/);
  expect(await faultsOf({}, { maxMemoryBytes: 1000 })).toEqual([
    expect.stringMatching(/^\/(model|data) makes the job take/),
  ]);
  const { memoryBytes } = await resolve(specFor(id));
  expect(await faultsOf({}, { maxMemoryBytes: memoryBytes })).toEqual([]);
  expect(await faultsOf({}, { maxMemoryBytes: memoryBytes - 1 })).toHaveLength(1);
});

test("a fault in one section does not hide faults in another", async () => {
  const faults = await faultsOf({
    ...data({ dataset: "ds_01k3w9d0c8v6m2q4r7t5x1y9zb" }),
    optimizer: { type: "adma" },
    training: { epochs: 1, batch_size: 99 },
  });
  expect(faults).toEqual([expect.stringMatching(/^\/optimizer\/type/), expect.stringMatching(/^\/data\/dataset/)]);
  const shapes = await faultsOf({
    model: { layers: [{ type: "linear", out_features: 3 }] },
    training: { batch_size: 99 },
    checkpoint: { keep_last: 0 },
  });
  expect(shapes.map((fault) => fault.split(" ")[0]).sort()).toEqual([
    "/checkpoint/keep_last",
    "/model/layers/0/out_features",
    "/training/epochs",
  ]);
});

test("a synthetic table is made only if it is kept, not to plan a job or to find faults", async () => {
  // Nothing can be written there.
  const files = new DatasetFiles("/proc/nowhere");
  const context = {
    dataset: async () => null,
    files,
    maxMemoryBytes: 1024 * MiB,
    maxStateBytes: MiB,
    ...nothing,
  };
  const data = { synthetic: { type: "two_moons", rows: 1_000_000 }, target: "target", validation: { fraction: 0.2 } };
  const spec = specFor("", { data });
  const { spec: resolved, totalSteps, table } = await resolveSpec(spec, context);
  expect([resolved.data.features, totalSteps]).toEqual([["x0", "x1"], 3 * 200_000]);
  await expect(resolveSpec({ ...spec, optimizer: { type: "adma" } }, context)).rejects.toThrow(/did you mean "adam"/);
  const large = training({ batch_size: 900_000 });
  await expect(resolveSpec({ ...spec, ...large }, context)).rejects.toThrow(/at most 800000/);
  await expect(table!.make()).rejects.toThrow(/ENOENT/);
  await table!.discard();
});
