import { expect, test } from "vitest";
import { hashSpec } from "../../../src/contract/resolve/identity.ts";
import { Spec, type ResolvedSpec } from "../../../src/contract/schema/spec.ts";
import { mergePatch } from "../../../src/contract/resolve/merge-patch.ts";

const written = {
  data: { dataset: "ds_01k3w9d0c8v6m2q4r7t5x1y9za", target: "y", validation: { every: 5 } },
  model: { layers: [{ type: "linear", out_features: 4 }, { type: "relu" }, { type: "linear" }] },
  loss: { type: "mse" },
  optimizer: { type: "adam", lr: 0.001 },
  training: { epochs: 3, batch_size: 8 },
};

function hashOf(text: string): string {
  return hashSpec(Spec.parse(JSON.parse(text)) as ResolvedSpec);
}

function hashWith(patch: object): string {
  return hashOf(JSON.stringify(mergePatch(written, patch)));
}

const plain = hashWith({});

// If this fails because an option was added: see how in src/contract/resolve/identity.ts.
test("the hash of a spec stays the same from version to version", () => {
  expect(plain).toBe("6b20349d6cee86c1733bd0249eb48138f58b7d81eac8ca9ac485a4c164d47b9d");
});

test.each([
  ["another order of keys", JSON.stringify(Object.fromEntries(Object.entries(written).toReversed()))],
  ["another spelling of a number", JSON.stringify(written).replace("0.001", "1E-3").replace(":8}", ":8.0}")],
  ["blanks", JSON.stringify(written, null, 2)],
])("%s makes no difference", (_what, text) => {
  expect(text).not.toBe(JSON.stringify(written));
  expect(hashOf(text)).toBe(plain);
});

test.each<[object]>([
  [{ name: "a name" }],
  [{ metadata: { team: "vision" } }],
  [{ webhook: { url: "https://platform.example/" } }],
  [{ resources: { threads: 8, priority: 3 } }],
  [{ checkpoint: { every_steps: 7, keep_last: 1, keep_best: true } }],
  [{ observe: { every_steps: 10 } }],
  [{ detectors: { plateau: { policy: "ignore" } } }],
  [{ optimizer: { betas: [0.9, 0.999], amsgrad: false } }],
  [{ training: { clip_grad_norm: null, gradient_accumulation_steps: 1 } }],
  [{ parameter_groups: [] }],
  [{ data: { exclude: [], columns: {}, test: null } }],
  [{ data: { preprocess: { missing: "error", missing_target: "error", missing_indicator: false } } }],
  [{ schedule: { type: "constant", warmup_steps: 0 } }],
])("%j changes no number, and no hash", (patch) => {
  expect(hashWith(patch)).toBe(plain);
});

test("whatever changes a number changes the hash", () => {
  const patches: object[] = [
    { data: { dataset: "ds_01k3w9d0c8v6m2q4r7t5x1y9zb" } },
    { data: { features: ["x"] } },
    { data: { validation: null } },
    { data: { validation: { every: null, fraction: 0.2 } } },
    { data: { validation: { every: null, fraction: 0.2, stratify: true } } },
    { data: { validation: { every: null, fraction: 0.2, group: "g" } } },
    { data: { validation: { every: null, tail: 0.2 } } },
    { data: { test: { every: 5 } } },
    { data: { exclude: ["x"] } },
    { data: { columns: { x: "categorical" } } },
    { data: { preprocess: { numeric: "none" } } },
    { data: { preprocess: { missing: "median" } } },
    { data: { preprocess: { missing_target: "drop_row" } } },
    { data: { preprocess: { missing_indicator: true } } },
    { model: { layers: [{ type: "linear" }] } },
    { model: { layers: [{ type: "linear", bias: false, out_features: 4 }, { type: "relu" }, { type: "linear" }] } },
    { loss: { type: "l1" } },
    { optimizer: { lr: 0.002 } },
    { optimizer: { eps: 0 } },
    { optimizer: { amsgrad: true } },
    { parameter_groups: [{ parameters: "*.bias", weight_decay: 0 }] },
    { parameter_groups: [{ parameters: "*.bias", lr_scale: 0 }] },
    { parameter_groups: [{ parameters: "*.bias", freeze: true }] },
    { schedule: { type: "constant", warmup_steps: 5 } },
    { training: { seed: 1 } },
    { training: { shuffle: false } },
    { training: { gradient_accumulation_steps: 2 } },
    { training: { log_every_steps: 2 } },
    { training: { early_stopping: { patience: 5 } } },
    { training: { early_stopping: { patience: 5, min_delta: 1 } } },
    { training: { pruning: { rungs: [{ epoch: 1, value: 0.5 }] } } },
    { training: { pruning: { rungs: [{ epoch: 1, value: 0.6 }] } } },
    { detectors: { plateau: { policy: "stop" } } },
    { detectors: { plateau: { policy: "stop" } }, observe: { every_steps: 10 } },
    { detectors: { diverging: { policy: "rewind" } } },
  ];
  const hashes = [plain, ...patches.map((patch) => hashWith(patch))];
  expect(new Set(hashes).size).toBe(hashes.length);
});

test("a random split without stratify has the hash that it had before the option existed", () => {
  const drawn = { validation: { every: null, fraction: 0.2 } };
  const [plainly, explicitly] = [drawn, { validation: { ...drawn.validation, stratify: false } }];
  expect(hashWith({ data: explicitly })).toBe(hashWith({ data: plainly }));
  expect(hashWith({ data: plainly })).toBe("0c2d3f8fed1b24b039c75da2e8f32f01c260fe08130c7f29907fc0ddfd7afc6c");
});
