/** Arrays as inputs and targets of a model. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { encode, measure } from "../../../src/data/encode/encoding-cache.ts";
import type { ElementType } from "../../../src/engine/member/shape.ts";
import { ingest } from "../../support/datasets.ts";
import { datasetFiles, dataSpec, LIMIT_BYTES } from "../support.ts";
import { floats, longs, npy, zip } from "../tensors/files.ts";

type Targets = "class" | "value" | "probability";
type Arrays = Record<string, Buffer>;
type Given = Parameters<typeof dataSpec>[0];

async function encodedArrays(arrays: Arrays, given: Given, targets: Targets = "value", takes: ElementType = "float32") {
  const { files } = await datasetFiles();
  const named = Object.fromEntries(Object.entries(arrays).map(([name, file]) => [`${name}.npy`, file]));
  const content = await ingest(files, Readable.from([zip(named)]), LIMIT_BYTES);
  const data = dataSpec(given);
  const path = files.columnsPath(content);
  const measured = await measure(path, data, targets, takes);
  if ("faults" in measured) return { faults: measured.faults.map(({ pointer, message }) => `${pointer} ${message}`) };
  const { data: made, encoding } = await encode(path, data, targets, takes);
  const [input] = made.inputs;
  const { values, ...value } = input;
  expect([measured.sizes.inputs[0], measured.sizes.targetShape]).toEqual([value, made.targetShape]);
  return { value, x: [...values], y: [...made.targets], units: made.target, encoding, sizes: measured.sizes };
}

const f4 = (shape: number[], ...values: number[]) => npy({ descr: "<f4", shape, data: floats(...values) });
const i8 = (shape: number[], ...values: number[]) => npy({ descr: "<i8", shape, data: longs(...values) });
const u1 = (shape: number[], ...values: number[]) => npy({ descr: "|u1", shape, data: Buffer.from(values) });

/** Three images of two channels with two pixels; the first one validates. */
const images = f4([3, 2, 2], 9, 9, 9, 9, 1, 3, 10, 10, 5, 7, 10, 10);
const y = f4([3], 1, 2, 4);
const validation = { every: 3 };

test("numbers are standardised by channel, from the training rows", async () => {
  const { value, x, encoding, y: targets, units } = await encodedArrays({ x: images, y }, { validation });
  expect(value).toEqual({ name: "features", shape: [2, 2], type: "float32" });
  const std = Math.fround(Math.sqrt(5));
  const scaled = [9, 9, 9, 9, 1, 3, 10, 10, 5, 7, 10, 10].map((pixel, i) =>
    i % 4 < 2 ? (pixel - 4) / std : pixel - 10,
  );
  expect(x!.map((pixel, i) => Math.abs(pixel - scaled[i]) < 1e-6)).not.toContain(false);
  expect(encoding!.inputs[0].encoders).toEqual([
    { column: "x", type: "tensor", scale: "standardize", mean: [4, 10], std: [Math.sqrt(5), 1], max: null },
  ]);
  expect(encoding!.inputs[0]).toMatchObject({ name: "features", shape: [2, 2], type: "float32" });
  expect([targets, units]).toEqual([[-2, -1, 1], { classes: null, mean: 3, std: 1 }]);
});

test("bytes are divided by the largest number of the training rows; any numbers can be, or stay", async () => {
  const pixels = u1([3, 2], 200, 100, 0, 50, 25, 100);
  const first = await encodedArrays({ x: pixels, y }, { validation });
  expect(first.x).toEqual([2, 1, 0, 0.5, 0.25, 1]);
  expect(first.encoding!.inputs[0].encoders).toEqual([
    { column: "x", type: "tensor", scale: "unit", mean: null, std: null, max: 100 },
  ]);
  const unit = await encodedArrays({ x: images, y }, { validation, preprocess: { tensor: "unit" } });
  expect(unit.x!.slice(0, 5)).toEqual([0.9, 0.9, 0.9, 0.9, 0.1].map(Math.fround));
  const none = await encodedArrays({ x: images, y }, { preprocess: { tensor: "none" } });
  expect(none.x).toEqual([9, 9, 9, 9, 1, 3, 10, 10, 5, 7, 10, 10]);
});

test("a shape is given to the features, of arrays and of single numbers", async () => {
  const shaped = await encodedArrays({ x: images, y }, { shape: [1, 2, 2] });
  expect(shaped.value).toMatchObject({ shape: [1, 2, 2] });
  expect(shaped.encoding!.inputs[0].encoders[0]).toMatchObject({ mean: [expect.any(Number)] });
  const columns = { a: y, b: y, c: y, d: y, y };
  const table = await encodedArrays(columns, { shape: [1, 2, 2], preprocess: { numeric: "none" } });
  expect([table.value, table.x!.slice(0, 4)]).toEqual([
    { name: "features", shape: [1, 2, 2], type: "float32" },
    [1, 1, 1, 1],
  ]);
  const { faults } = await encodedArrays({ x: images, y }, { shape: [3] });
  expect(faults).toEqual(["/data/shape holds 3 numbers (3), but the features give 4 for a row"]);
});

test("whole numbers stay as they are where the model takes them", async () => {
  const tokens = i8([3, 2], 4, 0, 1, 2, 3, 0);
  const sequence = await encodedArrays({ x: tokens, y }, {}, "value", "int32");
  expect(sequence.value).toEqual({ name: "features", shape: [2], type: "int32", categories: 5 });
  expect(sequence.x).toEqual([4, 0, 1, 2, 3, 0]);
  expect(sequence.encoding!.inputs[0].encoders).toEqual([
    { column: "x", type: "tensor", scale: "none", mean: null, std: null, max: null },
  ]);
  const columns = await encodedArrays({ a: i8([3], 5, 0, 1), b: i8([3], 0, 1, 0), y }, {}, "value", "int32");
  expect([columns.value, columns.x]).toEqual([
    { name: "features", shape: [2], type: "int32", categories: [6, 2] },
    [5, 0, 0, 1, 1, 0],
  ]);
  expect((await encodedArrays({ x: images, y }, {}, "value", "int32")).value!.type).toBe("float32");
  expect((await encodedArrays({ x: tokens, y }, {})).value!.type).toBe("float32");
  const negative = await encodedArrays(
    { x: i8([3, 1], 1, -1, 0), y },
    { preprocess: { tensor: "unit" } },
    "value",
    "int32",
  );
  expect(negative.faults).toEqual([
    '/data/features begin with "x", which holds -1; the first layer takes whole numbers from 0',
    '/data/preprocess/tensor must be "auto" or "none": the first layer takes the whole numbers of "x" as they are',
  ]);
});

test("a class a row, and a class for each position of a sequence or an image", async () => {
  const labels = await encodedArrays({ x: images, y: i8([3], 7, 3, 7) }, {}, "class");
  expect([labels.y, labels.units!.classes]).toEqual([
    [1, 0, 1],
    ["3", "7"],
  ]);
  const tags = await encodedArrays({ x: images, y: i8([3, 2], 0, 2, 2, 2, 5, 2) }, { validation }, "class");
  expect([tags.y, tags.sizes!.targetShape, tags.units!.classes]).toEqual([[0, 1, 1, 1, 2, 1], [2], ["0", "2", "5"]]);
  expect(tags.sizes).toMatchObject({ untrained: ["0"], trained: { vary: true } });
  const masks = await encodedArrays({ x: images, y: i8([3, 2, 1], 0, 2, 2, 2, 5, 2) }, {}, "class");
  expect([masks.y, masks.sizes!.targetShape]).toEqual([tags.y, [2, 1]]);
});

test("an array of numbers is a target, also that of the features", async () => {
  const array = await encodedArrays({ x: images, y: f4([3, 2], 9, 9, 1, 3, 5, 7) }, { validation });
  const std = Math.sqrt(5);
  expect(array.y).toEqual([5 / std, 5 / std, -3 / std, -1 / std, 1 / std, 3 / std].map(Math.fround));
  expect(array.units).toEqual({ classes: null, mean: 4, std });
  for (const features of [["x"], null]) {
    const own = await encodedArrays(
      { x: images },
      { features, target: "x", preprocess: { tensor: "none", target: "none" } },
    );
    expect([own.x, own.sizes!.targetShape]).toEqual([own.y, [2, 2]]);
  }
});

test("several columns are a target, each standardised", async () => {
  const arrays = { x: images, a: f4([3], 9, 1, 3), b: f4([3], 0, 100, 300) };
  const { y: targets, units, sizes, encoding } = await encodedArrays(arrays, { target: ["a", "b"], validation });
  expect(targets).toEqual([7, -2, -1, -1, 1, 1]);
  expect([units, sizes!.targetShape]).toEqual([{ classes: null, mean: [2, 200], std: [1, 100] }, [2]]);
  expect(encoding!.target).toMatchObject({ column: ["a", "b"], task: "regression", mean: [2, 200] });
  const odds = { x: images, a: f4([3], 0, 1, 1), b: f4([3], 1, 0, 0.5) };
  const probabilities = await encodedArrays(odds, { target: ["a", "b"] }, "probability");
  expect([probabilities.y, probabilities.sizes!.trained]).toEqual([
    [0, 1, 1, 0, 1, 0.5],
    { vary: true, between: true },
  ]);
});

test("arrays are the default features, without the single numbers", async () => {
  const { encoding } = await encodedArrays({ other: y, x: images, y }, {});
  expect(encoding!.inputs[0].encoders.map(({ column }) => column)).toEqual(["x"]);
});

test.each<[string, Arrays, Given, Targets, string[]]>([
  [
    "two arrays",
    { a: images, b: images, y },
    {},
    "value",
    ['/data/features must name one of the arrays "a", "b" alone, or columns with one number a row'],
  ],
  [
    "an array and a number",
    { a: images, b: y, y },
    { features: ["a", "b"] },
    "value",
    ['/data/features must name one of the arrays "a" alone, or columns with one number a row'],
  ],
  [
    "classes of numbers",
    { x: images, y: f4([3, 2], 1, 2, 3, 4, 5, 6) },
    {},
    "class",
    [
      '/data/target names "y", whose rows are float32 arrays of the shape [2]; classes are whole numbers, one a row or an array of them, with at most 1000 different ones',
    ],
  ],
  [
    "classes of images of numbers",
    { x: images, y: f4([3, 1, 1], 1, 2, 3) },
    {},
    "class",
    [
      '/data/target names "y", whose rows are float32 arrays of the shape [1, 1]; classes are whole numbers, one a row or an array of them, with at most 1000 different ones',
    ],
  ],
  [
    "a list of classes",
    { x: images, a: y, b: y },
    { target: ["a", "b"] },
    "class",
    ["/data/target is a list, but this loss needs one column of classes: name it alone"],
  ],
  [
    "an array in a list",
    { x: images, a: images, b: y },
    { target: ["a", "b"], features: ["x"] },
    "value",
    ['/data/target/0 names "a", which has an array in each row: an array is a target alone, not in a list'],
  ],
  ["a target twice", { x: images, a: y }, { target: ["a", "a"] }, "value", ['/data/target/1 names "a" a second time']],
  [
    "a target that is not there",
    { x: images, a: y },
    { target: ["a", "b"] },
    "value",
    ['/data/target/1 names "b", and the dataset has only "x", "a"'],
  ],
  [
    "a probability beyond 1",
    { x: images, y: images },
    { features: ["x"] },
    "probability",
    [
      '/data/target names "y", whose values go from 1 to 10; this loss needs them between 0 and 1: upload the array divided by 10, or take mse, which scales it',
    ],
  ],
  [
    "groups of arrays",
    { x: images, y },
    { validation: { group: "x", fraction: 0.5, seed: 0 } },
    "value",
    [
      "/data/features must list columns, because no column is a feature by default; texts take /data/text",
      '/data/validation/group names "x", which has an array in each row; a group is one value',
    ],
  ],
  [
    "strata of arrays",
    { x: images, y: i8([3, 1], 1, 2, 1) },
    { validation: { fraction: 0.5, seed: 0, stratify: true } },
    "class",
    ['/data/validation/stratify needs one class a row, and "y" has an array in each'],
  ],
])("%s: a fault that says what would be right", async (_, arrays, given, targets, faults) => {
  expect((await encodedArrays(arrays, given, targets)).faults).toEqual(faults);
});
