/** Columns of weights, and balanced classes. */
import { expect, test } from "vitest";
import { checkData } from "../../../src/data/encode/check.ts";
import { encode } from "../../../src/data/encode/encoding-cache.ts";
import type { DataSpec } from "../../../src/data/encode/encoding.ts";
import { tableOf } from "../../../src/data/encode/viewed-file.ts";
import { dataset, dataSpec } from "../support.ts";

const csv = "x,y,w,z,t\n1,a,2,-1,0\n2,b,0.5,1,\n3,b,0,1,1\n4,b,1,1,1\n5,c,1,1,1\n";

async function encoded(given: Partial<DataSpec>) {
  const { files, content } = await dataset(csv);
  return (await encode(files.columnsPath(content), dataSpec({ features: ["x"], ...given } as never), "class")).data;
}

test("a column of weights, and classes that count alike", async () => {
  const data = await encoded({ weight: "w", class_weight: "balanced", validation: { every: 5 } });
  expect([...data.weights!]).toEqual([2, 0.5, 0, 1, 1]);
  // Of the four rows that train three are of class b, one of c, and none of a.
  expect(data.classWeights).toEqual([0, 4 / 9, 4 / 3]);
  expect(await encoded({})).not.toHaveProperty("weights");
});

test("yes and no count alike in the loss, and in metrics as their rows do", async () => {
  const table = "x,w,y,b\n1,2,1,yes\n2,1,0,no\n3,1,0,no\n4,1,1,yes\n5,1,0,no\n6,3,0,no\n";
  const { files, content } = await dataset(table);
  const of = async (given: Partial<DataSpec>) => {
    const spec = dataSpec({ features: ["x"], class_weight: "balanced", validation: { every: 6 }, ...given } as never);
    return (await encode(files.columnsPath(content), spec, "probability")).data;
  };
  // Of the five rows that train one is 1, and four are 0.
  const [yes, no] = [5 / 2, 5 / 8];
  for (const target of ["y", "b"]) {
    const data = await of({ target });
    expect([...data.lossWeights!]).toEqual([yes, no, no, yes, no, no]);
    expect(data).not.toHaveProperty("weights");
    expect(data).not.toHaveProperty("classWeights");
  }
  const data = await of({ target: "y", weight: "w" });
  expect([[...data.weights!], [...data.lossWeights!]]).toEqual([
    [2, 1, 1, 1, 1, 3],
    [2 * yes, no, no, yes, no, 3 * no],
  ]);
});

test("the weight of a window is that of its target's row", async () => {
  const window = { order: "x", series: null, length: 2, horizon: 1, stride: 1 };
  const data = await encoded({ weight: "w", window });
  expect(Array.from(data.trainRows, (row) => data.weights![row])).toEqual([0, 1, 1]);
});

test("told by name, and no default feature", async () => {
  const { content } = await dataset(csv);
  const faults = (given: Partial<DataSpec>, targets: "class" | "value" | "probability" = "class") =>
    checkData(tableOf(content), dataSpec(given as never), targets).map(
      ({ pointer, message }) => `${pointer} ${message}`,
    );
  expect(faults({ weight: "z", exclude: ["t"] })).toEqual([
    '/data/weight names "z", which has the weight -1: weights are at least 0',
  ]);
  expect(faults({ weight: "t" })).toEqual(['/data/weight names "t", whose value is missing in 1 rows']);
  expect(faults({ weight: "y", exclude: ["t"] })).toEqual(['/data/weight names "y", the target; name another column']);
  expect(faults({ weight: "q", exclude: ["t"] })[0]).toContain('/data/weight names "q", and the dataset has only');
  const unbalanced = (target: string | string[], targets: "class" | "value" | "probability") =>
    faults({ target, class_weight: "balanced", exclude: ["t"] }, targets).filter((fault) => fault.includes("class_w"));
  const losses = "cross_entropy, or over yes and no, such as bce_with_logits";
  expect(unbalanced("x", "value")).toEqual([`/data/class_weight is for a loss over classes, such as ${losses}`]);
  const has = (target: string, value: string) =>
    `/data/class_weight is for a target of the classes 0 and 1, and "${target}" has the value ${value}`;
  expect(unbalanced("w", "probability")).toEqual([has("w", "0.5")]);
  expect(unbalanced("x", "probability")).toEqual([has("x", "2")]);
  expect(unbalanced(["w", "t"], "probability")).toEqual([
    '/data/class_weight is for a target with one class a row, and "w", "t" has more',
  ]);
  expect(unbalanced("t", "probability")).toEqual([]);
  expect(faults({ target: "x", exclude: ["t"] }, "probability")).toEqual([
    '/data/target names "x", whose values go from 1 to 5; this loss needs them between 0 and 1: write yes as 1 and no as 0, or take cross_entropy for classes and mse for numbers',
  ]);
});
