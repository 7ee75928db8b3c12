import { expect, test } from "vitest";
import { checkData } from "../../../src/data/encode/check.ts";
import type { DataSpec, SplitRule } from "../../../src/data/encode/encoding.ts";
import { drawRows } from "../../../src/data/encode/draw.ts";
import { sideCounts, splitRows } from "../../../src/data/encode/split.ts";
import { ViewedFile } from "../../../src/data/encode/viewed-file.ts";
import { tableOf } from "../../../src/data/encode/viewed-file.ts";
import { dataset, dataSpec } from "../support.ts";

type Table = Record<string, readonly (string | number)[]>;

/** Which rows of a table are on which side; each is on one if none is dropped. */
async function sides(table: Table, given: Partial<DataSpec>) {
  const names = Object.keys(table);
  const rows = Array.from({ length: table[names[0]].length }, (_, row) => names.map((name) => table[name][row]));
  const { files, content } = await dataset([names, ...rows].map((row) => row.join(",")).join("\n"));
  const data = dataSpec(given);
  const split = await ViewedFile.with(files.columnsPath(content), data, (file) => splitRows(file, data));
  const [train, valid, tested] = [split.train, split.valid, split.test].map((side) => [...side]);
  expect([...train, ...valid, ...tested].toSorted((a, b) => a - b)).toEqual([...rows.keys()]);
  for (const side of [train, valid, tested]) expect(side).toEqual(side.toSorted((a, b) => a - b));
  return { train, valid, test: tested };
}

const upTo = (length: number) => Array.from({ length }, (_, row) => row);
const repeated = (sizes: Record<string, number>) =>
  Object.entries(sizes).flatMap(([name, size]) => Array.from({ length: size }, () => name));
const countsIn = (rows: number[], labels: readonly (string | number)[]) =>
  Object.fromEntries([...Map.groupBy(rows, (row) => labels[row])].map(([label, some]) => [label, some.length]));

test("tail takes the last rows, rounded to the nearest number", async () => {
  const y = upTo(10);
  expect((await sides({ y }, { validation: { tail: 0.25 } })).valid).toEqual([7, 8, 9]);
  expect((await sides({ y }, { validation: { tail: 0.24 } })).valid).toEqual([8, 9]);
});

test("test rows are taken first, and validation counts the rows that are left", async () => {
  const y = upTo(10);
  const both = (rule: SplitRule) => sides({ y }, { validation: rule, test: rule });
  expect(await both({ tail: 0.2 })).toEqual({ train: upTo(6), valid: [6, 7], test: [8, 9] });
  expect(await both({ every: 5 })).toEqual({ train: [2, 3, 4, 6, 8, 9], valid: [1, 7], test: [0, 5] });
  const drawn = await both({ fraction: 0.3, seed: 4 });
  expect(drawn.test).toEqual([...drawRows(10, 0.3, 4)]);
  const rest = y.filter((row) => !drawn.test.includes(row));
  expect(drawn.valid).toEqual([...drawRows(7, 0.3, 4)].map((at) => rest[at]));
  const marked = { y, mark: [0, 1, 1, 0, 0, 0, 0, 0, 0, 1] };
  expect(await sides(marked, { validation: { every: 2 }, test: { column: "mark" } })).toMatchObject({
    test: [1, 2, 9],
    valid: [0, 4, 6, 8],
  });
  // Without a test nothing changes for validation.
  expect((await sides({ y }, { validation: { every: 5 } })).valid).toEqual([0, 5]);
});

test("the number of rows on each side is known in advance, unless a column chooses them", async () => {
  const y = upTo(47);
  const rules: SplitRule[] = [{ tail: 0.3 }, { every: 7 }, { fraction: 0.21, seed: 3 }];
  for (const validation of [null, ...rules])
    for (const tested of [null, ...rules]) {
      const { train, valid, test } = await sides({ y }, { validation, test: tested });
      const counts = { train: train.length, valid: valid.length, test: test.length };
      expect(sideCounts(47, { validation, test: tested })).toEqual(counts);
    }
  for (const validation of [{ column: "v" }, { group: "g", fraction: 0.2, seed: 0 }]) {
    expect(sideCounts(47, { validation, test: null })).toBeNull();
    expect(sideCounts(47, { validation: null, test: validation })).toBeNull();
  }
});

/**
 * What the rule says, worked out another way: rows are given one by one to the class that lacks
 * most.
 */
function shares(sizes: Record<string, number>, fraction: number): Record<string, number> {
  const all = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  const given = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, Math.floor(size * fraction)]));
  const lacking = Object.entries(sizes)
    .map(([name, size], at) => ({ name, at, lacks: size * fraction - given[name] }))
    .sort((a, b) => b.lacks - a.lacks || a.at - b.at);
  let missing = Math.round(all * fraction) - Object.values(given).reduce((sum, count) => sum + count, 0);
  for (const { name } of lacking) if (missing-- > 0) given[name]++;
  return Object.fromEntries(Object.entries(given).filter(([, count]) => count > 0));
}

test.each([
  [{ a: 50, b: 30, c: 20 }, 0.2, { a: 10, b: 6, c: 4 }],
  // 1.4, 2.1 and 1.5 rows of five in all: one more for c, whose remainder is the largest.
  [{ a: 14, b: 21, c: 15 }, 0.1, { a: 1, b: 2, c: 2 }],
  // Equal remainders: the first classes.
  [{ a: 5, b: 5, c: 5, d: 5 }, 0.1, { a: 1, b: 1 }],
  [{ a: 97, b: 3 }, 0.1, { a: 10 }],
  [{ a: 1, b: 1, c: 1 }, 0.9, { a: 1, b: 1, c: 1 }],
])("a stratified draw of %j takes of each class its share of %d", async (sizes, fraction, expected) => {
  expect(shares(sizes as Record<string, number>, fraction)).toEqual(expected);
  const y = repeated(sizes as Record<string, number>);
  // In another order of the rows too.
  for (const labels of [y, y.toReversed()])
    for (const seed of [0, 1]) {
      const { valid } = await sides({ y: labels }, { validation: { fraction, seed, stratify: true } });
      expect(countsIn(valid, labels)).toEqual(expected);
    }
});

test("a stratified draw depends on the seed, and every row of a class has the same chance", async () => {
  const y = repeated({ a: 6, b: 4 });
  const hits = new Uint32Array(10);
  for (let seed = 0; seed < 200; seed++) {
    const { valid } = await sides({ y }, { validation: { fraction: 0.5, seed, stratify: true } });
    for (const row of valid) hits[row]++;
  }
  // 100 expected with a deviation of 7.
  for (const count of hits) expect(Math.abs(count - 100)).toBeLessThan(36);
}, 20_000);

test("numbers can be classes of a stratified draw, and rows without a target are a class too", async () => {
  const y = [...repeated({ "10": 10, "9": 20 }), ...Array.from({ length: 10 }, () => "")];
  const { files, content } = await dataset(`x,y\n${y.map((label, row) => `${row},${label}`).join("\n")}\n`);
  const data = dataSpec({
    validation: { fraction: 0.2, seed: 1, stratify: true },
    preprocess: { missing_target: "drop_row" },
  });
  const split = await ViewedFile.with(files.columnsPath(content), { columns: {} }, (file) => splitRows(file, data));
  expect(countsIn([...split.valid], y)).toEqual({ "10": 2, "9": 4 });
  expect(countsIn([...split.train], y)).toEqual({ "10": 8, "9": 16 });
});

test("groups stay together, and as many are drawn as come nearest to the share", async () => {
  for (const g of [
    upTo(100).map((row) => row % 7),
    upTo(100).map((row) => "abcdefghij"[Math.floor(Math.sqrt(row))]),
    repeated({ p: 90, q: 5, r: 5 }),
  ]) {
    const sizes = countsIn(upTo(100), g);
    const names = Object.keys(sizes).toSorted();
    for (let seed = 0; seed < 10; seed++) {
      // All that could be drawn: the first group of the shuffle, the first two, and so on.
      const draws = upTo(names.length - 1).map((more) =>
        [...drawRows(names.length, (more + 1) / names.length, seed)].map((at) => names[at]),
      );
      const distances = draws.map((draw) => Math.abs(draw.reduce((sum, name) => sum + sizes[name], 0) - 30));
      const nearest = draws[distances.indexOf(Math.min(...distances))];
      const { train, valid } = await sides({ g, y: upTo(100) }, { validation: { group: "g", fraction: 0.3, seed } });
      expect(countsIn(valid, g)).toEqual(Object.fromEntries(nearest.map((name) => [name, sizes[name]])));
      expect(Object.keys(countsIn(train, g))).toHaveLength(names.length - nearest.length);
    }
  }
});

test("the drawn groups depend on the seed alone, in all versions", async () => {
  const g = upTo(20).map((row) => row % 10);
  const drawn = async (seed: number, groups: readonly (string | number)[] = g) => {
    const { valid } = await sides({ g: groups, y: upTo(20) }, { validation: { group: "g", fraction: 0.3, seed } });
    return Object.keys(countsIn(valid, g));
  };
  // Those of a shuffle of the ten groups in ascending order.
  for (const seed of [0, 1, 2 ** 53 - 1]) expect(await drawn(seed)).toEqual([...drawRows(10, 0.3, seed)].map(String));
  // Names are as good as numbers.
  expect(
    await drawn(
      1,
      g.map((group) => `g${group}`),
    ),
  ).toEqual(await drawn(1));
});

test("if there are two groups, one trains and one validates, however large they are", async () => {
  const g = repeated({ a: 99, b: 1 });
  for (let seed = 0; seed < 4; seed++) {
    const { train, valid } = await sides({ g, y: upTo(100) }, { validation: { group: "g", fraction: 0.9, seed } });
    expect([train.length, valid.length].toSorted((a, b) => a - b)).toEqual([1, 99]);
  }
});

test("an impossible group or stratum is a fault", async () => {
  const { content } = await dataset("g,k,y,label\n1,a,0.5,cat\n,a,1.5,dog\n2,b,2.5,cat\n");
  const faults = (rule: SplitRule, target = "y", targets: "class" | "value" = "value") =>
    checkData(tableOf(content), dataSpec({ target, features: ["k"], validation: rule, test: rule }), targets).map(
      ({ pointer, message }) => `${pointer} ${message}`,
    );
  const group = (name: string) => ({ group: name, fraction: 0.5, seed: 0 });
  const both = (end: string) => [`/data/validation${end}`, `/data/test${end}`];
  expect(faults(group("k"))).toEqual([]);
  expect(faults(group("g"))).toEqual(
    both('/group names "g", whose value is missing in 1 of 3 rows; each row needs a group'),
  );
  expect(faults(group("y"))).toEqual(both('/group names "y", the target; name another column'));
  expect(faults(group("h"))).toEqual([expect.stringMatching(/validation\/group names "h", and/), expect.anything()]);
  const stratified = { fraction: 0.4, seed: 0, stratify: true };
  const number = 'under this loss "y" is a number';
  expect(faults(stratified)).toEqual(both(`/stratify needs a target of classes, and ${number}`));
  expect(faults(stratified, "label", "class")).toEqual([]);
});
