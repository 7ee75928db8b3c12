import { describe, expect, it } from "vitest";
import { planModel } from "../../../src/engine/plan/model.ts";
import { readSafetensors } from "../../../src/engine/state/safetensors.ts";
import type { TrainingData } from "../../../src/engine/training.ts";
import { member, smallJob, train, type JobChanges } from "../../support/training.ts";

/*
 * Gradients of tables are computed, and their rows updated, for the rows that a batch uses. The
 * same jobs with noise of size 0 compute them for every row.
 */

const [ROWS, TIME, WORDS] = [40, 3, 300];

/** Sequences of words and a class for each. Few words are frequent. */
function sentences(): TrainingData {
  const shared = (list: readonly number[]) => {
    const copy = new Int32Array(new SharedArrayBuffer(list.length * 4));
    copy.set(list);
    return copy;
  };
  let state = 5;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const rows = Array.from({ length: ROWS }, (_, i) => i);
  const words = Array.from({ length: ROWS * TIME }, () => Math.floor(WORDS * random() ** 3));
  return {
    inputs: [{ name: "x", shape: [TIME], type: "int32", categories: WORDS, values: shared(words) }],
    targets: shared(rows.map((i) => words[i * TIME] % 3)),
    targetShape: [],
    trainRows: shared(rows.filter((i) => i % 5 !== 0)),
    validRows: shared(rows.filter((i) => i % 5 === 0)),
    testRows: shared([]),
    target: { classes: ["0", "1", "2"], mean: 0, std: 1 },
  };
}

const data = sentences();
const constant = { ...member("schedules", "constant"), interval: "step", warmup_steps: 0 };

function job({ training, ...changes }: JobChanges) {
  return smallJob({
    data,
    layers: [
      member("layers", "embedding", { embedding_dim: 5, padding_idx: 0 }),
      member("layers", "flatten"),
      member("layers", "linear"),
    ],
    schedule: constant,
    ...changes,
    training: { epochs: 3, batch_size: 7, ...training },
  });
}

const sgd = member("optimizers", "sgd", { lr: 0.3 });
const adam = member("optimizers", "sparse_adam", { lr: 0.01 });
const group = { parameters: "*", lr: null, lr_scale: 1, weight_decay: null, freeze: false };

const jobs: Readonly<Record<string, JobChanges>> = {
  sgd: { optimizer: sgd },
  "sgd of Keras": { optimizer: member("optimizers", "keras_sgd", { learning_rate: 0.3 }) },
  sparse_adam: { optimizer: adam },
  "tables of columns": {
    optimizer: adam,
    layers: [member("layers", "column_embedding", { embedding_dim: 3 }), member("layers", "linear")],
  },
  "several batches a step": { optimizer: adam, training: { gradient_accumulation_steps: 3 } },
  "clipping by norm": { optimizer: sgd, training: { clip_grad_norm: 0.1 } },
  "clipping by value and by units": {
    optimizer: sgd,
    training: { clip_grad_value: 0.01, clip_grad_adaptive: { clipping: 0.01, eps: 1e-3 } },
  },
  "averages of weights": {
    optimizer: sgd,
    training: { averaging: { type: "ema", decay: 0.8, start_step: 2, every_steps: 2 } },
  },
  "observed steps": { optimizer: adam, observe: { every_steps: 3, per_layer: true } },
  "everything at once": {
    optimizer: sgd,
    groups: [{ ...group, parameters: "0.*", lr_scale: 0.5 }],
    observe: { every_steps: 2, per_layer: true },
    training: {
      gradient_accumulation_steps: 2,
      clip_grad_norm: { max_norm: 0.1, norm_type: 3 },
      clip_grad_value: 0.02,
      averaging: { type: "swa", start_step: 3, every_steps: 1 },
    },
  },
};

describe("the bytes of a job with a table are those of the gradient of all rows:", () => {
  it.each(Object.entries(jobs))("%s", async (_name, changes) => {
    const gradient_noise = { eta: 0, gamma: 0.55 };
    const dense = await train(job({ ...changes, training: { ...changes.training, gradient_noise } }));
    expect(dense.outcome.type).toBe("completed");
    for (const threads of [1, 2, 3, 5, 8]) {
      const sparse = await train(job(changes), { threads, everySteps: 4 });
      expect(sparse.state?.sha256, `${threads} threads`).toBe(dense.state?.sha256);
      expect(sparse.observed).toEqual(dense.observed);
      if (threads !== 3) continue;
      const resumed = await train(job(changes), { threads: 2, state: sparse.checkpoints.get(4) });
      expect(resumed.state?.sha256, "from a checkpoint").toBe(dense.state?.sha256);
    }
  });
});

describe("sparse_adam", () => {
  /** The first word of a sentence alone tells its class: the others have a gradient of 0. */
  const model = [
    member("layers", "embedding", { embedding_dim: 3, padding_idx: 0 }),
    member("layers", "select", { dim: 0, index: 0 }),
  ];

  it("moves all words of the batch, those without a gradient too, and no others", async () => {
    const { checkpoints } = await train(job({ optimizer: adam, layers: model, training: { shuffle: false } }), {
      everySteps: 1,
      threads: 2,
    });
    // A checkpoint is skipped while the one before is being written.
    const [first] = checkpoints.keys();
    const table = tensorsOf(checkpoints.get(first)!);
    for (let step = first + 1; step <= 15; step++) sparseAdam(table, step);
    const last = tensorsOf(checkpoints.get(15)!);
    for (const [name, expected] of Object.entries(table))
      expected.forEach((value, i) => expect(last[name as keyof Table][i]).toBeCloseTo(value, 6));
    expect(first).toBeLessThan(10);
  });
});

type Table = Record<"weight" | "first" | "second", Float64Array>;

function tensorsOf(state: Uint8Array): Table {
  const { tensors } = readSafetensors(state);
  const read = (name: string) => Float64Array.from(new Float32Array(tensors.get(name)!.bytes.slice().buffer));
  return {
    weight: read("0.weight"),
    first: read("optimizer.exp_avg.0.weight"),
    second: read("optimizer.exp_avg_sq.0.weight"),
  };
}

/** Step `t` as `torch.nn.Embedding(sparse=True)` and `torch.optim.SparseAdam` make it. */
function sparseAdam({ weight, first, second }: Table, t: number): void {
  const batch = data.trainRows.subarray(((t - 1) % 5) * 7, (((t - 1) % 5) + 1) * 7);
  const words = data.inputs[0].values;
  const gradients = new Map<number, number[]>();
  const add = (word: number, gradient: readonly number[]) => {
    if (word !== 0)
      gradients.set(
        word,
        gradient.map((value, i) => value + (gradients.get(word)?.[i] ?? 0)),
      );
  };
  for (const row of batch) {
    const [word, ...others] = words.subarray(row * TIME, (row + 1) * TIME);
    const powers = Array.from(weight.subarray(word * 3, word * 3 + 3), Math.exp);
    const sum = powers[0] + powers[1] + powers[2];
    add(
      word,
      powers.map((power, i) => (power / sum - Number(i === data.targets[row])) / batch.length),
    );
    for (const other of others) add(other, [0, 0, 0]);
  }
  const rate = (0.01 * Math.sqrt(1 - 0.999 ** t)) / (1 - 0.9 ** t);
  for (const [word, gradient] of gradients) {
    for (let i = 0; i < 3; i++) {
      const at = word * 3 + i;
      first[at] += 0.1 * (gradient[i] - first[at]);
      second[at] += 0.001 * (gradient[i] ** 2 - second[at]);
      weight[at] -= (rate * first[at]) / (Math.sqrt(second[at]) + 1e-8);
    }
  }
}

describe("a table's gradient is computed for the rows of a batch", () => {
  const embedding = member("layers", "embedding", { embedding_dim: 5 });
  const planned = (changes: JobChanges) => {
    const { model, loss, optimizer, groups, training } = job(changes);
    return planModel({
      model,
      loss,
      optimizer,
      groups,
      training,
      inputs: data.inputs,
      target: { classes: 3, shape: [] },
      batchRows: 7,
      smallestBatch: 4,
      trainRows: 32,
      evaluatedRows: 8,
      threads: 2,
      keepBest: false,
    }).parameters[0].rows;
  };

  it.each(Object.entries(jobs))("under %s", (_name, changes) => {
    expect(planned(changes)).not.toBeNull();
  });

  it.each<[string, JobChanges]>([
    ["momentum", { optimizer: member("optimizers", "sgd", { momentum: 0.9 }) }],
    ["weight decay", { optimizer: member("optimizers", "sgd", { weight_decay: 0.1 }) }],
    ["weight decay of its group", { optimizer: sgd, groups: [{ ...group, weight_decay: 0.1 }] }],
    ["ascent", { optimizer: member("optimizers", "sgd", { maximize: true }) }],
    ["adam", { optimizer: member("optimizers", "adam") }],
    ["an optimizer in another", { optimizer: member("optimizers", "lookahead", { optimizer: sgd }) }],
    ["noise", { optimizer: adam, training: { gradient_noise: { eta: 0.1, gamma: 0.55 } } }],
    ["a group that is frozen", { optimizer: sgd, groups: [{ ...group, parameters: "0.*", freeze: true }] }],
    [
      "a weight that is tied to it",
      {
        optimizer: sgd,
        layers: [
          embedding,
          member("layers", "mean", { dim: [0] }),
          member("layers", "linear", { out_features: WORDS, tied_to: "0.weight" }),
          member("layers", "linear"),
        ],
      },
    ],
  ])("but not under %s", (_name, changes) => {
    expect(planned(changes)).toBeNull();
  });
});
