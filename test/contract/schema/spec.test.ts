import { expect, test } from "vitest";
import { canonicalJson } from "../../../src/contract/resolve/canonical.ts";
import { check } from "../../../src/contract/resolve/faults.ts";
import { Spec } from "../../../src/contract/schema/spec.ts";
import { specFor } from "../../api/service.ts";

const id = "ds_01k3w9d0c8v6m2q4r7t5x1y9za";
const faultsOf = (changes: Record<string, unknown>) =>
  check(Spec, specFor(id, changes)).faults?.map((fault) => `${fault.pointer} ${fault.message}`) ?? null;
const training = (changes: object) => ({ training: { epochs: 1, batch_size: 2, ...changes } });
const data = (changes: object) => ({ data: { dataset: id, target: "label", ...changes } });

/** Lookahead around lookahead around …, `depth` times. */
const nested = (depth: number): object =>
  depth === 0 ? { type: "adam" } : { type: "lookahead", optimizer: nested(depth - 1) };

test("a minimal spec gets all defaults of the contract", () => {
  const { value } = check(Spec, {
    data: { dataset: id, target: "y" },
    model: { layers: [{ type: "linear" }] },
    loss: { type: "cross_entropy" },
    optimizer: { type: "adam" },
    training: { epochs: 1, batch_size: "full" },
  });
  expect(value).toMatchObject({
    name: null,
    metadata: {},
    data: {
      features: null,
      validation: null,
      preprocess: { numeric: "standardize", categorical: "one_hot", missing: "error", target: "auto" },
    },
    model: { layers: [{ type: "linear", name: null, in_features: null, out_features: null, bias: true }] },
    loss: { type: "cross_entropy", label_smoothing: 0, weight: null },
    optimizer: {
      type: "adam",
      dialect: "torch",
      lr: 0.001,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weight_decay: 0,
      amsgrad: false,
    },
    schedule: { type: "constant", interval: "step", warmup_steps: 0 },
    observe: null,
    detectors: {
      diverging: { policy: "warn", factor: 1.5, patience: 2 },
      exploding_gradient: { policy: "warn", growth: 100, norm: 1000, patience: 2 },
      vanishing_gradient: { policy: "warn", ratio: 1e-4, patience: 3 },
      plateau: { policy: "warn", after: 0.5, min_drop: 0.05 },
      dead_relu: { policy: "warn", fraction: 0.7, patience: 3 },
      overfitting: { policy: "warn", rise: 0.2, patience: 5 },
      update_ratio_out_of_range: { policy: "warn", min: 1e-5, max: 0.3, patience: 3 },
      noisy_loss: { policy: "warn", ratio: 0.75, patience: 5 },
    },
    training: {
      epochs: 1,
      batch_size: "full",
      seed: 0,
      shuffle: true,
      drop_last: false,
      gradient_accumulation_steps: 1,
      clip_grad_norm: null,
      clip_grad_value: null,
      clip_grad_adaptive: null,
      gradient_noise: null,
      averaging: null,
      eval_every_epochs: 1,
      log_every_steps: null,
      early_stopping: null,
      pruning: null,
    },
    checkpoint: { every_steps: null, every_seconds: 30, keep_last: 3, keep_best: false },
    resources: { threads: 1 },
  });
});

test("the example of the contract is accepted", () => {
  expect(check(Spec, (Spec.meta()!.examples as unknown[])[0]).faults).toBeNull();
});

test.each([
  [training({ epochs: 0 }), "/training/epochs must be at least 1"],
  [training({ epochs: 100_001 }), "/training/epochs must be at most 100000"],
  [training({ batch_size: "all" }), '/training/batch_size must be an integer of at least 1, or "full"'],
  [training({ batch_size: 0 }), "/training/batch_size must be at least 1"],
  [training({ gradient_accumulation_steps: 0 }), "/training/gradient_accumulation_steps must be at least 1"],
  [training({ gradient_accumulation_steps: 10_001 }), "/training/gradient_accumulation_steps must be at most 10000"],
  [training({ seed: 2 ** 53 }), "/training/seed must be at most 9007199254740991"],
  [training({ clip_grad_norm: 0 }), "/training/clip_grad_norm must be more than 0"],
  [
    training({ clip_grad_norm: { max_norm: 1, norm_type: 0.5 } }),
    "/training/clip_grad_norm/norm_type must be at least 1",
  ],
  [
    training({ clip_grad_norm: { norm_type: 2 } }),
    '/training/clip_grad_norm must be null, a number more than 0, or {"max_norm", "norm_type"}',
  ],
  [
    training({ clip_grad_adaptive: 0.01 }),
    '/training/clip_grad_adaptive must be an object, which may have "clipping", "eps", not 0.01',
  ],
  [training({ clip_grad_adaptive: { clipping: 0 } }), "/training/clip_grad_adaptive/clipping must be more than 0"],
  [training({ clip_grad_adaptive: { eps: 0 } }), "/training/clip_grad_adaptive/eps must be more than 0"],
  [training({ gradient_noise: {} }), "/training/gradient_noise/eta is required"],
  [training({ gradient_noise: { eta: 0 } }), "/training/gradient_noise/eta must be more than 0"],
  [training({ gradient_noise: { eta: 1, gamma: -1 } }), "/training/gradient_noise/gamma must be at least 0"],
  [training({ averaging: { type: "mean" } }), '/training/averaging/type must be one of "ema", "swa"'],
  [training({ averaging: { type: "ema", decay: 1 } }), "/training/averaging/decay must be less than 1"],
  [
    training({ averaging: { type: "swa", decay: 0.9 } }),
    "/training/averaging/decay is not known here; known: type, start_step, every_steps",
  ],
  [training({ averaging: { type: "swa", every_steps: 0 } }), "/training/averaging/every_steps must be at least 1"],
  [training({ averaging: { type: "swa", start_step: -1 } }), "/training/averaging/start_step must be at least 0"],
  [training({ early_stopping: {} }), "/training/early_stopping/patience is required"],
  [
    training({ pruning: { rungs: [2, 2].map((epoch) => ({ epoch, value: 1 })) } }),
    "/training/pruning/rungs must have ascending epochs",
  ],
  [data({ validation: { every: 1 } }), "/data/validation/every must be at least 2"],
  [
    data({ validation: { fraction: 1 } }),
    "/data/validation/fraction must be a share of the rows, less than 1, such as 0.2",
  ],
  [data({ features: [] }), "/data/features must have at least 1 item"],
  [data({ dataset: undefined }), "/data must have exactly one of dataset, inline, synthetic"],
  [data({ synthetic: { type: "two_moons", rows: 100 } }), "/data must have exactly one of dataset, inline, synthetic"],
  [data({ inline: { columns: ["x"] } }), "/data/inline/rows is required"],
  [data({ inline: { columns: ["x"], rows: "1" } }), "/data/inline/rows must be an array of rows"],
  [
    data({ dataset: undefined, synthetic: { type: "moons", rows: 100 } }),
    /^\/data\/synthetic\/type must be one of "two_moons", /,
  ],
  [data({ dataset: undefined, synthetic: { type: "sine", rows: 1 } }), "/data/synthetic/rows must be at least 2"],
  [data({ dataset: "digits" }), "/data/dataset must be the id of a dataset, as POST /v1/datasets returns it"],
  [{ metadata: { Team: "x" } }, "/metadata/Team must have a name of 1 to 64 of a-z, 0-9 and _"],
  [{ metadata: { team: 5 } }, "/metadata/team must be a string, not 5"],
  [
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, ""])) },
    "/metadata must have at most 16 entries",
  ],
  [{ resources: { threads: 65 } }, "/resources/threads must be at most 64"],
  [{ loss: { type: "cross_entropy", weight: { cat: -1 } } }, "/loss/weight/cat must be at least 0"],
  [{ optimizer: { type: "adam", betas: [0.9] } }, "/optimizer/betas must have exactly 2 items"],
  [{ optimizer: { type: "adam", lr: null } }, "/optimizer/lr must be a number, not null"],
  [
    { optimizer: { type: "adam", dialect: "keras", lr: 0.1 } },
    "/optimizer/lr is the name in PyTorch; in dialect keras it is learning_rate",
  ],
  [
    { optimizer: { type: "adam", dialect: "keras", betas: [0.9, 0.99] } },
    "/optimizer/betas is the name in PyTorch; in dialect keras it is beta_1 and beta_2",
  ],
  [{ optimizer: { type: "adam", epsilon: 1 } }, "/optimizer/epsilon is the name in Keras; in dialect torch it is eps"],
  [
    { optimizer: { type: "rmsprop", dialect: "optax", learning_rate: 1, rho: 0.9 } },
    "/optimizer/rho is the name in Keras; in dialect optax it is decay",
  ],
  [
    { optimizer: { type: "adam", dialect: "optax", learning_rate: 1, amsgrad: true } },
    "/optimizer/amsgrad is the name in PyTorch; in dialect optax there is no such option",
  ],
  [{ optimizer: { type: "adam", dialect: "optax" } }, "/optimizer/learning_rate is required"],
  [
    { optimizer: { type: "adam", dialect: "keras", global_clipnorm: 1 } },
    "/optimizer/global_clipnorm is not an option of the optimizer here: set training.clip_grad_norm",
  ],
  [
    { optimizer: { type: "adam", fused: true } },
    "/optimizer/fused only changes how PyTorch computes, not what: leave it out",
  ],
  [
    { optimizer: { type: "adam", toString: 1 } },
    "/optimizer/toString is not known here; known: type, dialect, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay, maximize",
  ],
  [{ optimizer: { type: "lion", dialect: "keras" } }, '/optimizer/dialect must be one of "torch", "optax"'],
  [{ optimizer: { type: "muon", dialect: "optax" } }, '/optimizer/dialect must be "torch"'],
  [
    { optimizer: { type: "lookahead", optimizer: { type: "adam", dialect: "keras", lr: 1 } } },
    "/optimizer/optimizer/lr is the name in PyTorch; in dialect keras it is learning_rate",
  ],
  [{ optimizer: nested(50) }, `/optimizer${"/optimizer".repeat(39)} is nested too deeply`],
  [{ schedule: { type: "step" } }, "/schedule/step_size is required"],
  [
    { schedule: { type: "step", step_size: 1, intervall: "epoch" } },
    '/schedule/intervall is not known here; did you mean "interval"?',
  ],
  [{ model: { layers: [] } }, "/model/layers must have at least 1 item"],
  [
    { model: { layers: [{ type: "linear", name: "a.b" }] } },
    "/model/layers/0/name must be 1 to 64 letters, digits, _ or -",
  ],
])("%j", (changes, fault) => {
  expect(faultsOf(changes)).toEqual([typeof fault === "string" ? fault : expect.stringMatching(fault)]);
});

test("arguments of PyTorch's modules that a spec does not have are told why", () => {
  const relu = { type: "relu", inplace: true };
  expect(faultsOf({ model: { layers: [relu, { type: "lstm", hidden_size: 2, batch_first: true }] } })).toEqual([
    "/model/layers/0/inplace only changes how PyTorch computes, not what: leave it out",
    "/model/layers/1/batch_first is always true here: leave it out",
  ]);
  expect(faultsOf({ loss: { type: "nll", reduction: "sum", ignore_index: 3, weigth: null } })).toEqual([
    '/loss/reduction is always "mean" here: leave it out',
    "/loss/ignore_index is ignore_class here, which takes the name of a class",
    '/loss/weigth is not known here; did you mean "weight"?',
  ]);
});

test("the message for an unknown member lists the known ones", () => {
  expect(faultsOf({ optimizer: { type: "Adan" } })?.[0]).toMatch(
    /^\/optimizer\/type is not known here; did you mean "adam"\? It must be one of "adabelief", /,
  );
  expect(faultsOf({ model: { layers: [{ type: "relu" }, {}] } })?.[0]).toMatch(
    /^\/model\/layers\/1\/type is required: one of /,
  );
});

test.each([1, { max_norm: 1 }, { max_norm: 1, norm_type: "inf" }, { max_norm: 0.5, norm_type: 3 }])(
  "clip_grad_norm may be %j",
  (clip) => {
    expect(faultsOf(training({ clip_grad_norm: clip }))).toBeNull();
  },
);

test("canonical JSON has one text for a value", () => {
  expect(canonicalJson({ b: [1, { d: null, c: "ü\n" }], 10: true, 9: 1e-8, a: -0 })).toBe(
    '{"10":true,"9":1e-8,"a":0,"b":[1,{"c":"ü\\n","d":null}]}',
  );
});

test("clipping, noise and averages have the defaults of their papers", () => {
  const averaging = { type: "ema" };
  const changes = { clip_grad_adaptive: {}, gradient_noise: { eta: 0.3 }, averaging };
  const { value } = check(Spec, specFor(id, training(changes)));
  expect(value?.training).toMatchObject({
    clip_grad_adaptive: { clipping: 0.01, eps: 1e-3 },
    gradient_noise: { eta: 0.3, gamma: 0.55 },
    averaging: { type: "ema", decay: 0.999, start_step: 0, every_steps: 1 },
  });
});
