import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Member } from "../../../src/engine/settings.ts";
import { buildGraph, layerStream, type NamedValue } from "../../../src/engine/plan/graph.ts";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import { nameFaults } from "../../../src/engine/plan/names.ts";
import type { PlanFault } from "../../../src/engine/plan/faults.ts";
import { parametersOf } from "../../../src/engine/plan/shapes.ts";
import { LayerRun } from "../../support/layer-run.ts";
import { inputOf, member } from "../../support/training.ts";

const linear = (outputs: number | null, options: object = {}) =>
  member("layers", "linear", { out_features: outputs, ...options });
const relu = member("layers", "relu");
const holding = (type: string, fields: object): Member => ({ type, ...fields });

function graphOf(layers: readonly Member[], inputs: readonly NamedValue[] = [inputOf(4)]) {
  const faults: PlanFault[] = [];
  const graph = buildGraph(layers, inputs, 3, faults);
  return { graph: graph!, faults, names: graph ? parametersOf(graph, [], faults).map(({ name }) => name) : [] };
}

describe("names of parameters are the paths of nested modules", () => {
  test.each<[string, Member, string[]]>([
    ["sequential", holding("sequential", { layers: [linear(5), relu, linear(4)] }), ["0.0.weight", "0.2.weight"]],
    [
      "residual",
      holding("residual", { layers: [linear(6)], shortcut: [linear(6)] }),
      ["0.0.weight", "0.shortcut.0.weight"],
    ],
    ["repeat", holding("repeat", { times: 2, layers: [relu, linear(4)] }), ["0.0.1.weight", "0.1.1.weight"]],
    [
      "add",
      holding("add", { branches: [[linear(2)], [relu, linear(2)]] }),
      ["0.branches.0.0.weight", "0.branches.1.1.weight"],
    ],
    ["concat", holding("concat", { dim: 0, branches: [[], [linear(2)]] }), ["0.branches.1.0.weight"]],
  ])("in %s", (_type, container, expected) => {
    const { names } = graphOf([container, linear(null)]);
    expect(names.filter((name) => name.endsWith("weight"))).toEqual([...expected, "1.weight"]);
  });

  test("given ones replace the index at every level", () => {
    const inner = holding("sequential", { name: "body", layers: [linear(4, { name: "first" })] });
    expect(graphOf([inner, linear(null, { name: "head" })]).names).toContain("body.first.weight");
  });

  test("a word of paths, a twin and a reserved one are refused at every level", () => {
    const bad = [linear(4, { name: "a" }), linear(4, { name: "a" }), linear(4, { name: "shortcut" })];
    const faults = nameFaults([holding("sequential", { name: "best", layers: bad })]);
    expect(faults.map(({ pointer }) => pointer)).toEqual([
      "/model/layers/0/name",
      "/model/layers/0/layers/1/name",
      "/model/layers/0/layers/2/name",
    ]);
  });

  test("a path longer than 256 characters is a fault", () => {
    const nested = (length: number): Member =>
      [60, 60, 60, 60].reduce<Member>(
        (inner, size, i) => holding("sequential", { name: String(i).repeat(size), layers: [inner] }),
        { ...relu, name: "x".repeat(length) },
      );
    expect(graphOf([linear(4), nested(12)]).faults).toEqual([]);
    expect(graphOf([linear(4), nested(13)]).faults).toEqual([
      {
        pointer: "/model/layers/1/layers/0/layers/0/layers/0/layers/0/name",
        message: expect.stringContaining("makes a path of 257 characters") as string,
      },
    ]);
  });
});

describe("streams of random numbers", () => {
  test("are counted at the top, and follow from the path below it", () => {
    const nested = holding("sequential", { name: "body", layers: [linear(4, { name: "first", bias: false })] });
    const { graph } = graphOf([linear(4), nested, linear(null)]);
    const streams = Object.fromEntries(parametersOf(graph, [], []).map(({ name, stream }) => [name, stream]));
    const hash = createHash("sha256").update("body.first.weight").digest().readUInt32BE(0);
    expect(streams).toEqual({
      "0.weight": 0,
      "0.bias": 1,
      "body.first.weight": 2 ** 31 + (hash >>> 1),
      "2.weight": 2,
      "2.bias": 3,
    });
  });

  test("of what is nested and named all along its path do not move when a layer is inserted", () => {
    const drop = member("layers", "dropout", { name: "drop" });
    const body = holding("sequential", { name: "body", layers: [drop] });
    const streams = [graphOf([body, linear(null)]), graphOf([linear(4), relu, body, linear(null)])].map(({ graph }) =>
      layerStream(graph.nodes.find(({ member: { type } }) => type === "dropout")!),
    );
    expect(streams[0]).toBe(streams[1]);
  });
});

describe("inputs", () => {
  test("name earlier layers, in the own list or around it, or inputs of the data", () => {
    const both = holding("concat", { dim: 0, branches: [], inputs: ["wide", "other"] });
    const inner = holding("sequential", { layers: [relu, { ...linear(3), inputs: ["wide"] }] });
    const { graph, faults } = graphOf(
      [linear(7, { name: "wide" }), both, inner, linear(null)],
      [inputOf(4), { ...inputOf(2), name: "other" }],
    );
    expect(faults).toEqual([]);
    const [wide, joined, , again] = graph.nodes;
    expect(joined.inputs).toEqual([wide.output, 1]);
    expect(joined.shape.output).toEqual([9]);
    expect(again.inputs).toEqual([wide.output]);
  });

  test("that are nowhere are refused, later layers too", () => {
    const { faults } = graphOf([{ ...linear(4), inputs: ["1"] }, linear(null)]);
    expect(faults).toEqual([
      { pointer: "/model/layers/0/inputs/0", message: expect.stringContaining('names "1", which is no earlier layer') },
    ]);
  });

  test("that are nowhere are told with the names that there are", () => {
    const inner = holding("sequential", { layers: [{ ...linear(4), inputs: ["wyde"] }] });
    const { faults } = graphOf([linear(4, { name: "wide" }), linear(4), inner], [{ ...inputOf(4), name: "features" }]);
    expect(faults[0].message).toBe(
      'names "wyde", which is no earlier layer and no input of the data; it may be "wide", "features", or the index of an earlier layer without a name, such as "0"',
    );
  });
});

describe("more inputs than a layer takes are refused", () => {
  const [a, b] = [linear(4, { name: "a" }), linear(4, { name: "b" })];
  const inputs = ["a", "b", "a", "b", "a"];
  const containers = [
    holding("sequential", { layers: [relu] }),
    holding("residual", { layers: [relu] }),
    holding("repeat", { times: 2, layers: [relu] }),
    holding("add", { branches: [[relu]] }),
    holding("concat", { dim: 0, branches: [[relu], []] }),
  ];
  const types = Object.keys(layers).filter((type) => !layers[type].internal);
  const options = (type: string) => ({ ...layers[type].example?.options });
  const members = types.map((type): Member => member("layers", type, options(type)));
  test.each([...containers, ...members].map((each): [string, Member] => [each.type, each]))("by %s", (type, each) => {
    const most = layers[type]?.mostInputs ?? 1;
    const { faults } = graphOf([a, b, { ...each, inputs: inputs.slice(0, most + 1) }]);
    const message = expect.stringContaining(`names ${most + 1}, but ${type} takes ${most} at most`);
    expect(faults).toEqual([{ pointer: "/model/layers/2/inputs", message }]);
  });

  test("and a mask of numbers by a transformer", () => {
    const block = member("layers", "transformer_encoder_layer", { nhead: 2, inputs: ["x", "x"] });
    const { faults } = graphOf([block], [{ name: "x", shape: [5, 8], type: "float32" }]);
    const message = "must be a mask of integers, but is float32";
    expect(faults).toEqual([{ pointer: "/model/layers/0/inputs/1", message }]);
  });
});

test("an output that no job could hold is refused before others follow from it", () => {
  const doubled = holding("concat", { dim: 0, branches: [[], []] });
  const { faults } = graphOf([linear(4), holding("repeat", { times: 1000, layers: [doubled] }), linear(null)]);
  const message = "gives [1073741824] for a sample, more than the 4 GiB of a job";
  expect(faults).toEqual([{ pointer: "/model/layers/1/layers/0", message }]);
});

test("a fault is found in every container, by its place", () => {
  const wrong = linear(4, { in_features: 9 });
  const at = (layers: Member[]) => graphOf(layers).faults[0].pointer;
  expect(at([holding("residual", { layers: [relu], shortcut: [wrong] })])).toBe(
    "/model/layers/0/shortcut/0/in_features",
  );
  expect(at([holding("add", { branches: [[relu], [relu, wrong]] })])).toBe("/model/layers/0/branches/1/1/in_features");
  expect(at([holding("residual", { layers: [linear(5)] })])).toBe("/model/layers/0");
});

test("what is inferred stays in the spec only where all rounds agree", () => {
  const { graph } = graphOf([holding("repeat", { times: 2, layers: [linear(6)] }), linear(null)]);
  expect(graph.layers[0]).toMatchObject({ layers: [{ in_features: null, out_features: 6, name: "0" }] });
  expect(graph.layers[1]).toMatchObject({ in_features: 6, out_features: 3 });
});

describe("a value with several readers", () => {
  const run = new LayerRun(
    [holding("residual", { layers: [relu] }), holding("add", { branches: [[], [relu], [relu, relu]] })],
    [{ name: "x", shape: [3], type: "float32" }],
    2,
  );
  const x = [1, -2, 3, -4, 5, -6];
  run.forward([x], true);

  test("is the same for all of them", () => {
    // x + relu(x), and of that the sum of itself and twice its positive part.
    expect([...run.output()]).toEqual([6, -2, 18, -4, 30, -6]);
  });

  test("gets the sum of their gradients", () => {
    run.backward([1, 1, 1, 1, 1, 1], true);
    expect([...run.inputGradient(0)]).toEqual([6, 1, 6, 1, 6, 1]);
  });
});

test("a tied parameter is one, with the sum of both gradients", () => {
  const layers = [linear(4, { bias: false, name: "a" }), linear(4, { bias: false, tied_to: "a.weight" })];
  const run = new LayerRun(layers, [inputOf(4)], 1);
  expect(run.parameters.map(({ name }) => name)).toEqual(["a.weight"]);
  const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  run.setParameter("a.weight", identity);
  run.forward([[1, 2, 3, 4]], true);
  run.backward([1, 0, 0, 0], true);
  run.gradients();
  // Each use gives the outer product of its output's gradient and its input.
  expect([...run.parameterGradient("a.weight")]).toEqual([2, 4, 6, 8, ...Array.from({ length: 12 }, () => 0)]);
});

test("a tie may name a tied weight", () => {
  const tied = (name: string, to: string) => linear(4, { name, bias: false, tied_to: to });
  const { names, faults } = graphOf([
    linear(4, { name: "a", bias: false }),
    tied("b", "a.weight"),
    tied("c", "b.weight"),
  ]);
  expect(faults).toEqual([]);
  expect(names).toEqual(["a.weight"]);
});

test("a tie to nothing is told what there is of its shape", () => {
  const faults: PlanFault[] = [];
  const tied = [linear(4, { name: "a" }), linear(4, { tied_to: "a", bias: false })];
  parametersOf(graphOf(tied).graph, [], faults);
  expect(faults[0].message).toBe(
    'is "a", which is no parameter of an earlier layer; this layer needs one of the shape [4, 4], such as "a.weight"',
  );
});

test("a residual whose layers change the shape is told to take a shortcut", () => {
  const residual = (more: object) => holding("residual", { layers: [linear(3)], ...more });
  const messageOf = (more: object) => graphOf([residual(more), linear(null)]).faults[0].message;
  expect(messageOf({})).toBe(
    "has layers that give [3], but its input is [4], and adds the two: give it a shortcut that makes [3] of the input",
  );
  expect(messageOf({ shortcut: [linear(2)] })).toBe(
    "has layers that give [3], but its shortcut gives [2], and adds the two: make them equal",
  );
});

test("a tie to nothing, or to another shape, is refused", () => {
  const faults: PlanFault[] = [];
  const tied = (to: string) => [linear(4, { name: "a" }), linear(3, { tied_to: to, bias: false })];
  for (const to of ["b.weight", "a.weight"]) parametersOf(graphOf(tied(to)).graph, [], faults);
  expect(faults.map(({ pointer, message }) => `${pointer} ${message}`)).toEqual([
    '/model/layers/1/tied_to is "b.weight", which is no parameter of an earlier layer; this layer needs one of the shape [3, 4], which no earlier layer has',
    '/model/layers/1/tied_to is "a.weight", which is of the shape [4, 4]; this layer needs one of the shape [3, 4], which no earlier layer has',
  ]);
});

test("the outputs of a layer are inferred if what follows keeps shapes", () => {
  const infer = (...after: Member[]) => {
    const faults: PlanFault[] = [];
    const graph = buildGraph([linear(null), ...after], [{ name: "x", shape: [4], type: "float32" }], 3, faults);
    return graph === null ? faults[0].message : graph.values[graph.output].shape;
  };
  expect(infer(member("layers", "dropout"), member("layers", "log_softmax"))).toEqual([3]);
  expect(infer(member("layers", "sigmoid"))).toEqual([3]);
  expect(infer({ type: "sequential", layers: [linear(null), member("layers", "tanh")] })).toMatch(/is required/);
  expect(infer(member("layers", "layer_norm"))).toMatch(/is required/);
});
