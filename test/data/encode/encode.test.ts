import { createReadStream } from "node:fs";
import { expect, test } from "vitest";
import { encode } from "../../../src/data/encode/encoding-cache.ts";
import { datasetFiles, dataSpec, encoded, LIMIT_BYTES, rowsOf } from "../support.ts";
import { ingest } from "../../support/datasets.ts";

test("standardizes by the training rows' mean and population deviation", async () => {
  // Rows 0 and 3 validate. Training x: 1, 3, 5, 7 (mean 4, deviation √5); constant c; training y:
  // 10, 20, 30, 40 (mean 25, deviation √125).
  const csv = "x,c,y\n100,5,0\n1,2,10\n3,2,20\n-9,2,0\n5,2,30\n7,2,40\n";
  const data = await encoded(csv, dataSpec({ validation: { every: 3 } }));
  expect([...data.trainRows]).toEqual([1, 2, 4, 5]);
  expect([...data.validRows]).toEqual([0, 3]);
  const z = (x: number) => Math.fround((x - 4) / Math.sqrt(5));
  expect(rowsOf(data)).toEqual([
    [z(100), 3],
    [z(1), 0],
    [z(3), 0],
    [z(-9), 0],
    [z(5), 0],
    [z(7), 0],
  ]);
  expect([...data.targets]).toEqual([0, 10, 20, 0, 30, 40].map((y) => Math.fround((y - 25) / Math.sqrt(125))));
  expect(data.target).toEqual({ classes: null, mean: 25, std: Math.sqrt(125) });
  expect(data.encoding).toEqual({
    inputs: [
      {
        name: "features",
        shape: [2],
        type: "float32",
        encoders: [
          {
            column: "x",
            type: "numeric",
            scale: "standardize",
            mean: 4,
            std: Math.sqrt(5),
            min: 1,
            max: 7,
            fill: null,
          },
          { column: "c", type: "numeric", scale: "standardize", mean: 2, std: 1, min: 2, max: 2, fill: null },
        ],
      },
    ],
    reading: expect.objectContaining({ separator: ",", decimal: "." }),
    target: { column: "y", task: "regression", classes: null, mean: 25, std: Math.sqrt(125) },
  });
});

test("a constant column is 0 with deviation 1, whatever its value", async () => {
  // In double, the mean of 149 times 0.3 is not 0.3, and the deviation from it is not 0.
  const rows = Array.from({ length: 149 }, (_, row) => `0.3,${row},0.7`);
  const csv = `c,x,y\n0.8,0,0.2\n${rows.join("\n")}\n`;
  // Row 0 validates.
  const { features, targets, width, target, encoding } = await encoded(csv, dataSpec({ validation: { every: 200 } }));
  expect(encoding.inputs[0].encoders[0]).toMatchObject({ mean: 0.3, std: 1, min: 0.3, max: 0.3 });
  expect(target).toMatchObject({ mean: 0.7, std: 1 });
  const constant = Array.from({ length: 150 }, (_, row) => features[row * width]);
  expect(constant).toEqual([Math.fround(0.5), ...Array.from({ length: 149 }, () => 0)]);
  expect([...targets]).toEqual([Math.fround(0.2 - 0.7), ...Array.from({ length: 149 }, () => 0)]);
});

test("deviations are taken from the mean, so that an offset does not drown them", async () => {
  const { encoding } = await encoded("x,y\n1000000001,1\n1000000002,2\n1000000003,3\n", dataSpec());
  expect(encoding.inputs[0].encoders[0]).toMatchObject({ mean: 1000000002, std: Math.sqrt(2 / 3) });
});

test("min_max maps the training rows' range to 0..1, and a range of 0 to 0", async () => {
  const csv = "x,c,y\n20,3,0\n2,3,0\n6,3,1\n10,3,1\n";
  const data = await encoded(csv, dataSpec({ validation: { every: 4 }, preprocess: { numeric: "min_max" } }));
  expect(rowsOf(data)).toEqual([
    [2.25, 0],
    [0, 0],
    [0.5, 0],
    [1, 0],
  ]);
});

test("none leaves numbers and target as they are", async () => {
  const data = await encoded("x,y\n20,7\n2,8\n", dataSpec({ preprocess: { numeric: "none", target: "none" } }));
  expect(rowsOf(data)).toEqual([[20], [2]]);
  expect([...data.targets]).toEqual([7, 8]);
  expect(data.encoding.target).toMatchObject({ mean: 0, std: 1 });
});

test("the target of a loss on probabilities is scaled only if asked for", async () => {
  const csv = "x,y\n1,0\n2,1\n";
  expect([...(await encoded(csv, dataSpec(), "probability")).targets]).toEqual([0, 1]);
  const scaled = await encoded(csv, dataSpec({ preprocess: { target: "standardize" } }), "probability");
  expect([...scaled.targets]).toEqual([-1, 1]);
});

test("categories become one input for each class of the training rows; others are zeros", async () => {
  const csv = "colour,x,y\nunseen,0,0\nred,1,1\nblue,2,2\ngreen,3,3\nred,4,4\nblue,5,5\n";
  const data = await encoded(csv, dataSpec({ validation: { every: 3 }, preprocess: { numeric: "none" } }));
  expect(data.encoding.inputs[0].encoders[0]).toEqual({
    column: "colour",
    type: "categorical",
    classes: ["blue", "red"],
    fill: null,
  });
  expect(rowsOf(data)).toEqual([
    [0, 0, 0],
    [0, 1, 1],
    [1, 0, 2],
    [0, 0, 3],
    [0, 1, 4],
    [1, 0, 5],
  ]);
});

test("features stand in the order in which the spec names them", async () => {
  const data = await encoded(
    "a,b,y\n1,2,3\n4,5,6\n",
    dataSpec({ features: ["b", "a"], preprocess: { numeric: "none" } }),
  );
  expect(rowsOf(data)).toEqual([
    [2, 1],
    [5, 4],
  ]);
});

test("an empty cell takes the training rows' mean, an empty category zeros", async () => {
  const csv = "x,k,y\n,a,0\n1,,1\n5,b,2\n,b,3\n";
  const data = await encoded(csv, dataSpec({ validation: { every: 4 }, preprocess: { missing: "mean" } }));
  // Training x: 1, 5, empty: mean 3, deviation 2.
  expect(data.encoding.inputs[0].encoders[0]).toMatchObject({ mean: 3, std: 2, fill: 3 });
  expect(rowsOf(data)).toEqual([
    [0, 0],
    [-1, 0],
    [1, 1],
    [0, 1],
  ]);
});

test("a column whose values are all in validation rows counts as 0 with deviation 1", async () => {
  const data = await encoded(
    "x,z,y\n8,1,0\n,1,1\n,2,2\n",
    dataSpec({ validation: { every: 3 }, preprocess: { missing: "mean" } }),
  );
  expect(data.encoding.inputs[0].encoders[0]).toMatchObject({ mean: 0, std: 1, fill: 0 });
  expect(rowsOf(data).map(([x]) => x)).toEqual([8, 0, 0]);
});

test("drop_row leaves out rows with an empty feature or target, after the split", async () => {
  const csv = "x,k,unused,y\n1,a,,1\n,a,1,2\n3,,1,3\n4,b,1,\n5,b,1,5\n6,b,1,6\n7,a,1,7\n";
  const spec = dataSpec({
    features: ["x", "k"],
    validation: { every: 2 },
    preprocess: { missing: "drop_row", numeric: "none", target: "none" },
  });
  const data = await encoded(csv, spec);
  expect([...data.trainRows]).toEqual([5]);
  expect([...data.validRows]).toEqual([0, 4, 6]);
  expect([...data.validRows].map((row) => data.targets[row])).toEqual([1, 5, 7]);
  expect(data.encoding.inputs[0].encoders[1]).toMatchObject({ classes: ["b"] });
});

test("classes are those of the whole file, numbers in their order", async () => {
  const csv = "x,y\n1,10\n2,9\n3,-1\n4,10.0\n";
  const { target, targets, encoding } = await encoded(csv, dataSpec({ validation: { every: 3 } }), "class");
  expect(targets).toEqual(new Int32Array(new SharedArrayBuffer(16)).map((_, i) => [2, 1, 0, 2][i]));
  expect(target).toEqual({ classes: ["-1", "9", "10"], mean: 0, std: 1 });
  expect(encoding.target).toEqual({
    column: "y",
    task: "classification",
    classes: ["-1", "9", "10"],
    mean: null,
    std: null,
  });
});

test("classes with names are in the order of their bytes", async () => {
  const { target, targets } = await encoded("x,y\n1,cat\n2,Dog\n3,ant\n", dataSpec(), "class");
  expect(target.classes).toEqual(["Dog", "ant", "cat"]);
  expect([...targets]).toEqual([2, 0, 1]);
});

test("a validation column chooses the rows, and is not a feature unless it is listed", async () => {
  const csv = "x,fold,y\n1,0,1\n2,1,2\n3,2,3\n4,1.0,4\n";
  const data = await encoded(csv, dataSpec({ validation: { column: "fold" } }));
  expect(data.width).toBe(1);
  expect([...data.validRows]).toEqual([1, 3]);
  expect([...data.trainRows]).toEqual([0, 2]);
});

test("everything the threads of a crew read is shared memory", async () => {
  const { features, targets, trainRows, validRows } = await encoded(
    "x,y\n1,1\n2,2\n",
    dataSpec({ validation: { every: 2 } }),
  );
  for (const { buffer } of [features, targets, trainRows, validRows]) expect(buffer).toBeInstanceOf(SharedArrayBuffer);
});

test("a spec that does not fit its dataset is not encoded", async () => {
  await expect(encoded("x,y\n,1\n2,2\n", dataSpec())).rejects.toThrow(
    /features names "x", whose value is missing in 1 of 2 rows/,
  );
});

test.each([
  ["iris", 150, 30, 4, 3],
  ["digits", 1797, 360, 64, 10],
])("%s has the shape of the reference", async (name, rows, valid, width, classes) => {
  const { files } = await datasetFiles();
  const content = await ingest(files, createReadStream(`examples/${name}.csv`), LIMIT_BYTES);
  const { data } = await encode(
    files.columnsPath(content),
    dataSpec({ target: "target", validation: { every: 5 } }),
    "class",
  );
  const [{ shape, values: features }] = data.inputs;
  expect(shape).toEqual([width]);
  expect(features).toHaveLength(rows * width);
  expect(data.validRows).toHaveLength(valid);
  expect(data.trainRows).toHaveLength(rows - valid);
  expect(data.target.classes).toHaveLength(classes);
  expect(features.every(Number.isFinite)).toBe(true);
  for (let input = 0; input < width; input++) {
    const sum = data.trainRows.reduce((total, row) => total + features[row * width + input], 0);
    expect(Math.abs(sum / data.trainRows.length)).toBeLessThan(1e-5);
  }
});
