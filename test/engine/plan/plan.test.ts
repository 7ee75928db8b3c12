import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MODULE_BYTES } from "../../../src/engine/kernels/kernels.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { planModel, SUM_STRIDE, type Plan } from "../../../src/engine/plan/model.ts";
import { PlanError } from "../../../src/engine/plan/faults.ts";
import type { PlanInput } from "../../../src/engine/plan/shapes.ts";
import { gradientTiles, parameterBlocks, share, weightBlocks } from "../../../src/engine/plan/slices.ts";
import { stateEntries } from "../../../src/engine/state/state.ts";
import { member } from "../../support/training.ts";
import { inputOf } from "../../support/training.ts";

const ROWS = 1000;

const anyInput: fc.Arbitrary<PlanInput> = fc
  .record({
    widths: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 4 }),
    inputs: fc.integer({ min: 1, max: 300 }),
    classes: fc.integer({ min: 1, max: 30 }),
    optimizer: fc.constantFrom(...Object.keys(optimizers)),
    activation: fc.constantFrom("relu", "gelu", "dropout"),
    batchRows: fc.integer({ min: 1, max: 200 }),
    evaluatedRows: fc.integer({ min: 0, max: 500 }),
    threads: fc.integer({ min: 1, max: 64 }),
    keepBest: fc.boolean(),
    observed: fc.boolean(),
    frozen: fc.subarray(["0.*", "*.bias", "2.weight", "nothing"]),
  })
  // A search wants nothing random, and full batches.
  .map((drawn) => (drawn.optimizer === "lbfgs" ? { ...drawn, activation: "relu", batchRows: ROWS } : drawn))
  .map(({ widths, inputs, classes, optimizer, activation, frozen, ...rest }) => ({
    model: {
      layers: [...widths, null].flatMap((width, i) => [
        ...(i === 0 ? [] : [member("layers", activation)]),
        member("layers", "linear", { out_features: width, bias: i % 2 === 0 }),
      ]),
    },
    loss: member("losses", "cross_entropy"),
    optimizer: member("optimizers", optimizer, { lr: 0.1, fast_optimizer: member("optimizers", "adam") }),
    // Of a single layer all could be frozen, which muon refuses.
    groups: frozen
      .filter(() => widths.length > 1)
      .map((parameters) => ({ parameters, lr: null, lr_scale: 1, weight_decay: null, freeze: true })),
    inputs: [inputOf(inputs)],
    target: { classes, shape: [] },
    smallestBatch: 1,
    trainRows: ROWS,
    ...rest,
  }));

describe("a plan", () => {
  test("gives every byte to at most one use, in order and aligned", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const plan = planModel(input);
        let end = MODULE_BYTES;
        for (const { address, bytes } of plan.regions) {
          expect(address).toBeGreaterThanOrEqual(end);
          expect(address % 64).toBe(0);
          end = address + bytes;
        }
        expect(end).toBeLessThanOrEqual(plan.memoryBytes);
        expect(Object.values(plan.memory).reduce((sum, bytes) => sum + bytes)).toBe(plan.memoryBytes);
      }),
      { numRuns: 200 },
    );
  });

  test("puts the whole state, and nothing else, into the stretch that checkpoints copy", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const plan = planModel(input);
        const { state, stateBytes, weightBytes } = plan.addresses;
        const entries = stateEntries(plan);
        expect(entries.every(({ address, bytes }) => address >= state && address + bytes <= state + stateBytes)).toBe(
          true,
        );
        expect(new Set(entries.map(({ name }) => name)).size).toBe(entries.length);
        for (const { weight, length, gradient, group } of plan.parameters) {
          expect(weight + length * 4).toBeLessThanOrEqual(state + weightBytes);
          if (group === null) expect(gradient).toBe(0);
          else expect(gradient).toBeGreaterThanOrEqual(state + stateBytes);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("is cut among threads without gap or overlap, at vectors' and blocks' edges", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const plan = planModel(input);
        const threads = Array.from({ length: plan.threads }, (_, thread) => thread);
        expectCover(
          plan,
          threads.flatMap((thread) => gradientTiles(plan, thread)).map((tile) => inElements(plan, tile)),
          4,
        );
        const blocks = threads.flatMap((thread) => parameterBlocks(plan, thread));
        expectCover(plan, blocks, 4096);
        const numbers = blocks.map(({ sums }) => (sums - plan.addresses.sums) / (SUM_STRIDE * 8));
        expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: plan.blocks }, (_, i) => i));
        expectCover(
          plan,
          threads.flatMap((thread) => weightBlocks(plan, thread)),
          4096,
          true,
        );
      }),
      { numRuns: 200 },
    );
  });

  test("shares numbers among parts without gap or overlap", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 64 }), (count, parts) => {
        const ranges = Array.from({ length: parts }, (_, part) => share(count, part, parts));
        expect(ranges[0][0]).toBe(0);
        expect(ranges.at(-1)![1]).toBe(count);
        for (let i = 1; i < parts; i++) expect(ranges[i][0]).toBe(ranges[i - 1][1]);
      }),
    );
  });
});

interface Range {
  readonly parameter: number;
  readonly begin: number;
  readonly end: number;
}

function inElements(plan: Plan, { parameter, begin, end }: Range): Range {
  const { length, shape } = plan.parameters[parameter];
  const row = length / shape[0];
  return { parameter, begin: begin * row, end: end * row };
}

/**
 * The ranges, in the order of threads, go through every parameter that learns (or every one) from
 * its first element to its last.
 */
function expectCover(plan: Plan, ranges: readonly Range[], unit: number, frozenToo = false): void {
  plan.parameters.forEach(({ length, group }, parameter) => {
    if (group === null && !frozenToo) return expect(ranges.some((range) => range.parameter === parameter)).toBe(false);
    let at = 0;
    for (const { begin, end } of ranges.filter((range) => range.parameter === parameter)) {
      expect(begin).toBe(at);
      expect(begin % unit).toBe(0);
      at = end;
    }
    expect(at).toBe(length);
  });
}

describe("an impossible model", () => {
  const input = (changes: Partial<PlanInput>): PlanInput => ({
    model: { layers: [member("layers", "linear")] },
    loss: member("losses", "cross_entropy"),
    optimizer: member("optimizers", "adam"),
    inputs: [inputOf(4)],
    target: { classes: 3, shape: [] },
    batchRows: 8,
    smallestBatch: 1,
    trainRows: 100,
    evaluatedRows: 0,
    threads: 1,
    keepBest: false,
    ...changes,
  });

  const faultsOf = (changes: Partial<PlanInput>): Record<string, string> => {
    try {
      planModel(input(changes));
    } catch (error) {
      if (error instanceof PlanError)
        return Object.fromEntries(error.faults.map(({ pointer, message }) => [pointer, message]));
      throw error;
    }
    return {};
  };

  const linear = (options: Record<string, unknown>) => member("layers", "linear", options);

  test.each([
    [
      "a layer that does not fit",
      [linear({ out_features: 5 }), linear({ in_features: 6 })],
      "/model/layers/1/in_features",
      "input [5] is 5",
    ],
    [
      "an inner layer without its size",
      [linear({}), member("layers", "relu"), linear({})],
      "/model/layers/0/out_features",
      "is required",
    ],
    [
      "a sequence where one answer is wanted",
      [linear({ out_features: 4 }), { type: "reshape", shape: [1, 4] }, linear({})],
      "/model/layers/2/out_features",
      "makes the model give [1, 3], but cross_entropy over 3 classes wants [3]; take the other dimensions away",
    ],
    ["outputs that are not the target's", [linear({ out_features: 7 })], "/model/layers/0/out_features", "wants [3]"],
    [
      "an ending that cannot be inferred",
      [linear({ out_features: 7 }), member("layers", "relu")],
      "/model/layers/1",
      "wants [3]",
    ],
    ["nothing to train", [member("layers", "relu")], "/model/layers", "nothing to train"],
    [
      "two layers of one name",
      [linear({ name: "a", out_features: 3 }), linear({ name: "a" })],
      "/model/layers/1/name",
      "layer 0's name",
    ],
    [
      "a layer whose output reaches nothing",
      [linear({ name: "lost", out_features: 9 }), linear({ inputs: ["features"] })],
      "/model/layers/0",
      "nothing takes",
    ],
    [
      "one in a container",
      [
        {
          type: "sequential",
          layers: [linear({ out_features: 9 }), linear({ inputs: ["features"], out_features: 9 })],
        },
        linear({}),
      ],
      "/model/layers/0/layers/0",
      "nothing takes",
    ],
    ["a name that checkpoints use", [linear({ name: "optimizer" })], "/model/layers/0/name", "reserved"],
  ])("is refused for %s", (_what, layers, pointer, message) => {
    expect(faultsOf({ model: { layers } })).toMatchObject({ [pointer]: expect.stringContaining(message) });
  });

  test("is refused for its size, with the size", () => {
    const layers = [linear({ out_features: 1_000_000 }), linear({ out_features: 500 }), linear({})];
    expect(faultsOf({ model: { layers } })["/model"]).toMatch(/needs \d+\.\d GiB/);
  });

  test("reports all its faults at once", () => {
    const faults = faultsOf({
      loss: member("losses", "bce_with_logits", { pos_weight: [1, 2] }),
      optimizer: member("optimizers", "sgd", { lr: 1, nesterov: true }),
      model: { layers: [linear({ name: "best" }), linear({ name: "a" }), linear({ name: "a" })] },
    });
    expect(Object.keys(faults).sort()).toEqual([
      "/loss/pos_weight",
      "/model/layers/0/name",
      "/model/layers/2/name",
      "/optimizer/momentum",
    ]);
  });
});
