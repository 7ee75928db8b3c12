/** How a trial's values are set in the spec. */
import { expect, test } from "vitest";
import { eigen } from "../../src/studies/eigen.ts";
import { ordered, place, positionOf, valueAt, type Domain } from "../../src/studies/space.ts";
import { choice, uniform } from "./functions.ts";

test("a parameter is set after those that contain it and those that it depends on", () => {
  const parameters = [
    uniform("/optimizer/momentum", 0, 1, { "/model/wide": [true] }),
    choice("/model", [{ wide: true }]),
    choice("/optimizer", [{ type: "sgd" }]),
  ];
  expect(ordered(parameters)!.map(({ pointer }) => pointer)).toEqual(["/model", "/optimizer", "/optimizer/momentum"]);
  const circle = [choice("/a", [1], { "/b": [1] }), choice("/b", [1], { "/a": [1] })];
  expect(ordered(circle)).toBeNull();
});

test("a condition looks at the values that were chosen, and a nested one at the outer one", () => {
  const parameters = ordered([
    choice("/optimizer", [{ type: "sgd", lr: 1 }, { type: "adam" }]),
    uniform("/optimizer/momentum", 0, 0.8, { "/optimizer/type": ["sgd"] }),
    choice("/optimizer/nesterov", [true, false], { "/optimizer/momentum": [0.4] }),
  ])!;
  const spec = { optimizer: null, seed: 3 };
  const placed = (...positions: number[]) => place(spec, parameters, positions);
  expect(placed(0, 0.5, 0)).toEqual({
    spec: { optimizer: { type: "sgd", lr: 1, momentum: 0.4, nesterov: true }, seed: 3 },
    values: { "/optimizer": { type: "sgd", lr: 1 }, "/optimizer/momentum": 0.4, "/optimizer/nesterov": true },
    lost: [],
  });
  expect(placed(0, 0.25, 0).spec).toEqual({ optimizer: { type: "sgd", lr: 1, momentum: 0.2 }, seed: 3 });
  expect(placed(0.5, 0.5, 0).spec).toEqual({ optimizer: { type: "adam" }, seed: 3 });
  expect(spec.optimizer).toBeNull();
});

test("a value is set in an object or at a place that a list has, and nowhere else", () => {
  const spec = { list: [1, 2], "a/b": { "~": 0 } };
  const set = (pointer: string) => place(spec, [choice(pointer, [9])], [0]);
  expect(set("/list/1").spec).toEqual({ ...spec, list: [1, 9] });
  expect(set("/a~1b/~0").spec).toEqual({ ...spec, "a/b": { "~": 9 } });
  for (const pointer of ["/list/2", "/list/-", "/list/length", "/no/where", "/list/0/x"]) {
    expect(set(pointer)).toEqual({ spec, values: {}, lost: [pointer] });
  }
  expect(Object.keys(set("/__proto__").spec as object)).toContain("__proto__");
  expect(({} as Record<string, unknown>)[0]).toBeUndefined();
});

test("a large spec and large values are not copied for each trial", () => {
  const [large, part] = [{ rows: [1, 2, 3] }, { layers: [{ out_features: 4 }] }];
  const parameters = [choice("/model", [part]), choice("/model/layers/0/out_features", [8])];
  const { spec, values } = place({ data: large, model: null }, parameters, [0, 0]);
  expect(spec).toEqual({ data: large, model: { layers: [{ out_features: 8 }] } });
  expect((spec as { data: object }).data).toBe(large);
  expect(values["/model"]).toBe(part);
  expect(part).toEqual({ layers: [{ out_features: 4 }] });
});

test("values and positions are each other's", () => {
  const domains: Domain[] = [
    { kind: "choice", values: ["a", { b: 1, c: 2 }, 3] },
    { kind: "int", low: -3, high: 7 },
    { kind: "uniform", low: -1, high: 3 },
    { kind: "log_uniform", low: 1e-5, high: 10 },
  ];
  for (const domain of domains) {
    for (const at of [0, 0.1, 0.5, 0.77, 1 - 2 ** -53]) {
      const value = valueAt(domain, at);
      const position = positionOf(domain, value);
      expect(valueAt(domain, position)).toEqual(
        domain.kind.includes("uniform") ? expect.closeTo(value as number, 12) : value,
      );
      if (domain.kind.includes("uniform")) expect(position).toBeCloseTo(at, 12);
    }
  }
  expect(positionOf(domains[0], { c: 2, b: 1 })).toBe(0.5);
  expect(valueAt(domains[3], 0)).toBe(1e-5);
});

test("eigenvectors of a symmetric matrix", () => {
  const matrix = [
    [4, 1, -2],
    [1, 3, 0.5],
    [-2, 0.5, 5],
  ];
  const { values, vectors } = eigen(matrix);
  values.forEach((value, k) => {
    matrix.forEach((row, i) => {
      const product = row.reduce((sum, each, j) => sum + each * vectors[j][k], 0);
      expect(product).toBeCloseTo(value * vectors[i][k], 12);
    });
  });
});
