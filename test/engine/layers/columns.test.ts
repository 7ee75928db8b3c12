/** The columns of a table: `column_embedding`. */
import { describe, expect, it } from "vitest";
import { forward } from "../../../src/engine/layers/column_embedding/reference.ts";
import type { NamedValue } from "../../../src/engine/plan/graph.ts";
import type { Member } from "../../../src/engine/settings.ts";
import {
  expectReference,
  expectSameBits,
  expectUntouched,
  float,
  integer,
  numbers,
  rowsOf,
  single,
  type LayerCase,
} from "../../support/layer-checks.ts";
import { LayerRun } from "../../support/layer-run.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";

const NAMES = ["colour", "size", "new"];
/** The columns have 3, 22 and 1 classes, and one code more for what is missing. */
const CODES = [3, 22, 1, 1, 2, 1, 3, 2, 1, 1, 13, 1, 3, 22, 1, 2, 7, 1];
const SAMPLES = 6;

const categories = {
  name: "categories",
  shape: [3],
  type: "int32",
  categories: [4, 23, 2],
  columns: NAMES,
} as const satisfies NamedValue;

/** No class is missing here: a vector that does not learn has no gradient to compare with. */
function caseOf(options: object, widths: readonly number[], count: number): LayerCase {
  const inputs = count === 0 ? [categories] : [categories, float("numbers", count)];
  const reference: LayerCase["reference"] = ([codes, x = []], parameters) => {
    const tables = widths.map((width, column) => rowsOf(parameters[`it.${column}.weight`], width));
    return rowsOf(codes, 3).flatMap((row, i) => forward(row, x.slice(i * count, (i + 1) * count), tables));
  };
  return single("column_embedding", options, inputs, reference, { values: { categories: CODES }, samples: SAMPLES });
}

const cases = [
  caseOf({}, [2, 11, 1], 5),
  caseOf({}, [2, 11, 1], 0),
  caseOf({ embedding_dim: 7 }, [7, 7, 7], 1),
  caseOf({ embedding_dim: { size: 4, new: 18 } }, [2, 4, 18], 20),
];

describe.each(cases)("$title", (layerCase) => {
  it("agrees with its reference, however samples and rows are cut", () => {
    expectReference(layerCase);
    expectSameBits(layerCase);
    expectUntouched(layerCase);
  });
});

describe("a class that is missing", () => {
  const codes = CODES.with(0, 0).with(4, 0).with(8, 0);
  const run = new LayerRun([member("layers", "column_embedding")], [categories, float("numbers", 2)], SAMPLES);
  const names = run.parameters.map(({ name }) => name);
  const shapes = run.parameters.map(({ shape }) => shape);

  it("has a vector that starts as zeros", () => {
    expect(names).toEqual(["0.0.weight", "0.1.weight", "0.2.weight"]);
    expect(shapes).toEqual([
      [4, 2],
      [23, 11],
      [2, 1],
    ]);
    expect(run.parameters.map(({ initializer }) => initializer)).toEqual(
      Array.from({ length: 3 }, () => ({ distribution: "normal", deviation: 1, zeroRow: 0 })),
    );
  });

  it("does not learn it", () => {
    run.parameters.forEach(({ name, length }, i) => run.setParameter(name, numbers(length, i)));
    run.forward([codes, numbers(2 * SAMPLES, 9)], true);
    const width = run.output().length / SAMPLES;
    run.backward(Array(SAMPLES * width).fill(1), true);
    run.gradients(3);
    shapes.forEach(([rows, size], column) => {
      const uses = Array.from({ length: rows }, (_, code) => {
        return code === 0 ? 0 : codes.filter((other, i) => i % 3 === column && other === code).length;
      });
      const expected = uses.flatMap((count) => Array<number>(size).fill(count));
      expect([...run.parameterGradient(names[column])]).toEqual(expected);
    });
  });

  it("is NaN if the code is none of the column's", () => {
    run.forward([codes.with(1, 23).with(2, -1), numbers(2 * SAMPLES, 9)], true);
    const rows = rowsOf([...run.output()], run.output().length / SAMPLES);
    expect(rows[0].map(Number.isNaN)).toEqual([...Array(2).fill(false), ...Array(12).fill(true), false, false]);
    expect(rows.slice(1).flat().some(Number.isNaN)).toBe(false);
  });
});

describe("its inputs", () => {
  const linear = { ...member("layers", "linear", { out_features: 3 }), name: "before" };
  const layer = { ...member("layers", "column_embedding"), name: "it" };
  const numberInput = float("numbers", 2);
  const outputOf = (layers: readonly Member[], inputs: readonly NamedValue[]) => {
    const { graph } = new LayerRun(layers, inputs, 2);
    return graph.values[graph.output].shape;
  };

  it("are those of the data, in whatever order they come", () => {
    expect(outputOf([layer], [numberInput, categories])).toEqual([16]);
    expect(outputOf([layer], [categories])).toEqual([14]);
    expect(outputOf([{ type: "concat", dim: 0, branches: [[layer], [linear]] }], [numberInput, categories])).toEqual([
      19,
    ]);
  });

  it("may be named, so that another layer makes the numbers", () => {
    const named = { ...layer, inputs: ["categories", "before"] };
    expect(outputOf([linear, named], [numberInput, categories])).toEqual([17]);
  });

  it.each([
    [[linear, layer], [numberInput, categories], "/1", "takes categories and numbers of the data"],
    [[{ ...layer, inputs: ["numbers", "categories"] }], [numberInput, categories], "/0", "takes int32 values"],
    [[{ ...layer, inputs: ["categories"] }], [integer("categories", [3])], "/0", "how many classes"],
    [[{ ...layer, inputs: ["x"] }], [integer("x", [3, 2], 5)], "/0", "its input is int32 [3, 2]"],
    [[{ ...layer, inputs: ["categories", "x", "x"] }], [float("x", 2), categories], "/0/inputs", "takes 2 at most"],
    [[layer], [integer("x", [1001], 5)], "/0", "at most 1000 categorical columns, but has 1001"],
    [[{ ...layer, embedding_dim: { sise: 3 } }], [categories], "/0/embedding_dim", '"colour", "size", "new"'],
    [[{ ...layer, embedding_dim: { x: 3 } }], [integer("x", [3], 5)], "/0/embedding_dim", "columns have no names"],
  ] as const)("name what does not fit: case %#", (layers, inputs, pointer, message) => {
    const fault = { pointer: `/model/layers${pointer}`, message: expect.stringContaining(message) as string };
    expect(() => new LayerRun(layers, inputs, 2)).toThrow(expect.objectContaining({ faults: [fault] }));
  });
});

describe("a job of classes and numbers", () => {
  const rows = 90;
  const data = classes(rows, 5);
  const codes = new Int32Array(new SharedArrayBuffer(rows * 3 * 4));
  codes.set(Array.from({ length: rows * 3 }, (_, i) => (i * i) % categories.categories[i % 3]));
  const job = smallJob({
    data: {
      ...data,
      inputs: [
        { ...data.inputs[0], name: "numbers" },
        { ...categories, values: codes },
      ],
    },
    layers: [
      { ...member("layers", "batch_norm1d"), name: "scaled", inputs: ["numbers"] },
      { ...member("layers", "column_embedding"), name: "it", inputs: ["categories", "scaled"] },
      member("layers", "dropout"),
      member("layers", "linear"),
    ],
    training: { epochs: 3, batch_size: 16, clip_grad_norm: 1 },
  });

  it("has the same bytes on any threads, and when it is resumed at any checkpoint", async () => {
    const { state, checkpoints } = await train(job, { everySteps: 4 });
    expect(checkpoints.size).toBeGreaterThan(1);
    for (const threads of [2, 3, 5, 8]) expect((await train(job, { threads })).state!.sha256).toBe(state!.sha256);
    for (const file of checkpoints.values())
      expect((await train(job, { threads: 2, state: file })).state!.sha256).toBe(state!.sha256);
  });
});
