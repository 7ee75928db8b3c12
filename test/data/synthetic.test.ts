import { createHash } from "node:crypto";
import { tableOf } from "../../src/data/encode/viewed-file.ts";
import { expect, test } from "vitest";
import { checkData } from "../../src/data/encode/check.ts";
import type { Measured } from "../../src/data/encode/encode.ts";
import { measure } from "../../src/data/encode/encoding-cache.ts";
import { outlineOf } from "../../src/data/encode/outline.ts";
import { syntheticTable, SYNTHETIC_TYPES, type Synthetic } from "../../src/data/synthetic.ts";
import { dataSpec, datasetFiles } from "./support.ts";

const table = (type: Synthetic["type"], changes: Partial<Synthetic> = {}) =>
  syntheticTable({ type, rows: 200, noise: 0, seed: 0, ...changes });

test.each([
  ["two_moons", "cc55c4c2"],
  ["spirals", "d479aa78"],
  ["sine", "ba9a49ab"],
  ["linear", "f50a2e53"],
] as const)("%s has the same bits everywhere and for ever", (type, digest) => {
  const { rows } = table(type, { noise: 0.1, seed: 2 ** 40 + 1 });
  expect(createHash("sha256").update(Float64Array.from(rows.flat())).digest("hex").slice(0, 8)).toBe(digest);
});

test("two moons are half circles", () => {
  for (const [x, y, label] of table("two_moons").rows) {
    const [centreX, centreY, side] = label === 0 ? [0, 0, 1] : [1, 0.5, -1];
    expect(Math.hypot(x - centreX, y - centreY)).toBeCloseTo(1, 12);
    expect(side * (y - centreY)).toBeGreaterThanOrEqual(-1e-12);
  }
});

test("the spirals' arms lie half a turn apart", () => {
  const { rows } = table("spirals");
  const arm = (wanted: number) => rows.filter(([, , label]) => label === wanted).map(([x, y]) => [x, y]);
  const byRadius = ([x, y]: number[], [u, v]: number[]) => Math.hypot(x, y) - Math.hypot(u, v);
  const opposite = arm(1).map(([x, y]) => [-x, -y]);
  for (const [i, [x, y]] of arm(0).sort(byRadius).entries()) {
    const [u, v] = opposite.sort(byRadius)[i];
    expect([x, y]).toEqual([expect.closeTo(u, 12), expect.closeTo(v, 12)]);
  }
});

test("sine and linear follow their formulas", () => {
  for (const [x, y] of table("sine").rows) expect(y).toBeCloseTo(Math.sin(x), 12);
  for (const [a, b, c, y] of table("linear").rows) expect(y).toBeCloseTo(1 + 2 * a - 3 * b + 0.5 * c, 12);
});

test.each(["two_moons", "spirals"] as const)("any fifth of %s has points of both classes", (type) => {
  const fifth = table(type).rows.filter((_, row) => row % 5 === 0);
  const ones = fifth.filter(([, , label]) => label === 1).length;
  expect(table(type).rows.filter(([, , label]) => label === 1)).toHaveLength(100);
  expect(ones).toBeGreaterThan(10);
  expect(ones).toBeLessThan(30);
});

test.each(SYNTHETIC_TYPES)("the noise of %s has the deviation asked for, and the seed decides it", (type) => {
  const last = type === "two_moons" || type === "spirals" ? 0 : table(type).columns.length - 1;
  const rows = 20_000;
  const exact = table(type, { rows, seed: 1 }).rows;
  const noisy = table(type, { rows, seed: 1, noise: 0.5 }).rows;
  const differences = noisy.map((row, i) => row[last] - exact[i][last]);
  const mean = differences.reduce((sum, value) => sum + value, 0) / rows;
  const variance = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0) / rows;
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.sqrt(variance)).toBeCloseTo(0.5, 1);
  expect(table(type, { seed: 1, noise: 0.5 }).rows).not.toEqual(table(type, { seed: 2, noise: 0.5 }).rows);
});

test.each(SYNTHETIC_TYPES)("two rows of %s are a table too", (type) => {
  for (const value of table(type, { rows: 2, noise: 1 }).rows.flat()) expect(value).toBeTypeOf("number");
  expect(table(type, { rows: 2 }).rows.flat().every(Number.isFinite)).toBe(true);
});

test("a draft of a table leaves no file unless it is kept", async () => {
  const { files, onDisk } = await datasetFiles();
  const draft = await files.draft({ synthetic: { type: "sine", rows: 10, noise: 0, seed: 0 } });
  expect(draft.content).toMatchObject({
    rows: 10,
    columns: [{ name: "x0", min: -Math.PI, max: Math.PI }, { name: "target" }],
  });
  await draft.discard();
  expect(await onDisk()).toEqual([]);

  const kept = await files.draft({
    inline: {
      columns: ['a "b"', "c"],
      rows: [
        ["x,\ny", 0.1],
        [null, -0],
      ],
    },
  });
  await kept.keep();
  await kept.discard();
  expect(await files.has(kept.content)).toBe(true);
  expect(await (await files.original(kept.content))!.checked(kept.content.sha256).toArray()).toEqual([
    Buffer.from('"a ""b""",c\n"x,\ny",0.1\n,0\n'),
  ]);
});

test("the outline of a table is the same as what its rows show", async () => {
  const { files } = await datasetFiles();
  let outlined = 0;
  for (const type of SYNTHETIC_TYPES) {
    const synthetic = { type, rows: 200, noise: 0.1, seed: 3 };
    const draft = await files.draft({ synthetic });
    const names = draft.content.columns.map(({ name }) => name);
    for (const targets of ["class", "probability", "value"] as const) {
      for (const target of [...names, "nothing"]) {
        for (const validation of [null, { every: 7 }, { fraction: 0.3, seed: 1 }, { column: names[0] }]) {
          const data = dataSpec({ target, validation });
          const outline = outlineOf(synthetic, data, targets);
          if (outline === null) continue;
          outlined++;
          const faults = checkData(tableOf(draft.content), data, targets);
          expect(checkData(outline.content, data, targets)).toEqual(faults);
          expect(outline.content.columns.map(({ name }) => name)).toEqual(names);
          for (const takes of ["float32", "columns"] as const) {
            if (faults.length > 0) continue;
            const measured = await measure(draft.columnsPath, data, targets, takes);
            expect(measured).toMatchObject(known(outline.measure(data, takes, null)));
          }
          const classes = (content: typeof outline.content) =>
            content.columns.find(({ name }) => name === target)?.classes;
          if (targets === "class") expect(classes(outline.content)).toEqual(classes(tableOf(draft.content)));
        }
      }
    }
  }
  expect(outlined).toBeGreaterThan(40);
}, 30_000);

/** Without what is not known of a table that is not made. */
function known(measured: Measured): object {
  if ("faults" in measured) return measured;
  return { sizes: Object.fromEntries(Object.entries(measured.sizes).filter(([, value]) => value !== null)) };
}
