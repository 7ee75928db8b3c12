// Threads keep the plans and instances of their last jobs (src/engine/crew/recent.ts).
import { expect, test } from "vitest";
import { Ids, Recent } from "../../../src/engine/crew/recent.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";

test("only the last few values are known", () => {
  const recent = new Recent<string>();
  for (const id of [1, 2, 3, 4, 1, 5]) recent.use(id, `value ${id}`);
  expect([1, 2, 3, 4, 5].map((id) => recent.get(id) ?? null)).toEqual([
    "value 1",
    null,
    "value 3",
    "value 4",
    "value 5",
  ]);
  recent.clear();
  expect(recent.get(5)).toBeUndefined();
});

test("an object has one id", () => {
  const ids = new Ids();
  const [a, b] = [{}, {}];
  expect([ids.of(a), ids.of(b), ids.of(a)]).toEqual([1, 2, 1]);
});

test("jobs of more shapes than a thread keeps give the same weights whenever they come", async () => {
  const linear = (outputs: number | null) => member("layers", "linear", { out_features: outputs });
  const jobs = [3, 40, 5, 6, 70, 8].map((width, i) =>
    smallJob({ layers: [linear(width), linear(null)], data: classes(100 + i, 4 + i), training: { epochs: 2 } }),
  );
  const round = async (threads: number) => {
    const weights: (string | null)[] = [];
    for (const job of jobs) weights.push((await train(job, { threads })).weights);
    // The same shape with another seed has the same plan.
    weights.push((await train({ ...jobs[0], training: { ...jobs[0].training, seed: 9 } }, { threads })).weights);
    return weights;
  };
  const first = await round(1);
  expect(new Set(first).size).toBe(7);
  for (const threads of [1, 2, 3, 1]) expect(await round(threads)).toEqual(first);
});
