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

test("the weight of a window is that of its target's row", async () => {
  const window = { order: "x", series: null, length: 2, horizon: 1, stride: 1 };
  const data = await encoded({ weight: "w", window });
  expect(Array.from(data.trainRows, (row) => data.weights![row])).toEqual([0, 1, 1]);
});

test("told by name, and no default feature", async () => {
  const { content } = await dataset(csv);
  const faults = (given: Partial<DataSpec>, targets: "class" | "value" = "class") =>
    checkData(tableOf(content), dataSpec(given as never), targets).map(
      ({ pointer, message }) => `${pointer} ${message}`,
    );
  expect(faults({ weight: "z", exclude: ["t"] })).toEqual([
    '/data/weight names "z", which has the weight -1: weights are at least 0',
  ]);
  expect(faults({ weight: "t" })).toEqual(['/data/weight names "t", whose value is missing in 1 rows']);
  expect(faults({ weight: "y", exclude: ["t"] })).toEqual(['/data/weight names "y", the target']);
  expect(faults({ weight: "q", exclude: ["t"] })[0]).toContain('/data/weight names "q", and the dataset has only');
  const balanced = faults({ target: "x", class_weight: "balanced", exclude: ["t"] }, "value");
  expect(balanced).toEqual(["/data/class_weight is for a loss over classes, such as cross_entropy"]);
});
