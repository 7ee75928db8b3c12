/*
 * The recurrent layers, held to the references of their cells and of a pass over time. PyTorch's
 * numbers are among the golden cases (test/conformance).
 */
import { describe, expect, it } from "vitest";
import * as gru from "../../../src/engine/layers/gru/reference.ts";
import * as lstm from "../../../src/engine/layers/lstm/reference.ts";
import * as pass from "../../../src/engine/layers/recurrent.reference.ts";
import { layers } from "../../../src/engine/layers/registry.generated.ts";
import * as rnn from "../../../src/engine/layers/rnn/reference.ts";
import { withDefaults } from "../../../src/engine/member/options.ts";
import { PlanError } from "../../../src/engine/plan/faults.ts";
import { expectClose } from "../../support/golden.ts";
import { LayerRun } from "../../support/layer-run.ts";

interface Kind {
  readonly name: string;
  readonly type: "rnn" | "lstm" | "gru";
  readonly reference: pass.CellReference;
  readonly gates: number;
  readonly options: { readonly nonlinearity?: string };
}

const kinds: readonly Kind[] = [
  { name: "rnn with tanh", type: "rnn", reference: rnn, gates: 1, options: { nonlinearity: "tanh" } },
  { name: "rnn with relu", type: "rnn", reference: rnn, gates: 1, options: { nonlinearity: "relu" } },
  { name: "gru", type: "gru", reference: gru, gates: 3, options: {} },
  { name: "lstm", type: "lstm", reference: lstm, gates: 4, options: {} },
];

function numbers(count: number, seed: number, scale = 1): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}

/** The rows of a matrix. */
function rows(values: ArrayLike<number>, columns: number): number[][] {
  const list = Array.from(values);
  return Array.from({ length: list.length / columns }, (_, i) => list.slice(i * columns, (i + 1) * columns));
}

interface Sizes {
  readonly samples: number;
  readonly time: number;
  readonly features: number;
  readonly hidden: number;
}

/** A bidirectional layer of one kind that gives all states, with everything that it takes. */
function make({ type, options }: Kind, { samples, time, features, hidden }: Sizes, bias = true, fill?: number) {
  const states = type === "lstm" ? ["h_0", "c_0"] : ["h_0"];
  const layer = withDefaults(layers[type], {
    ...options,
    hidden_size: hidden,
    bias,
    bidirectional: true,
    output: "all",
    inputs: ["x", ...states],
  });
  const shapes = [[time, features], ...states.map(() => [2, hidden])];
  const inputs = shapes.map((shape, i) => ({ name: ["x", ...states][i], shape, type: "float32" as const }));
  const run = new LayerRun([layer], inputs, samples);
  const values = shapes.map(([height, width], i) => numbers(samples * height * width, i));
  if (fill !== undefined) values[0].fill(fill);
  for (const [i, { name, length }] of run.parameters.entries()) run.setParameter(name, numbers(length, 10 + i, 0.7));
  return { run, values, upstream: numbers(samples * time * 2 * hidden, 5) };
}

/** What the references make of it, sample by sample; gradients of parameters are summed. */
function expectedOf(kind: Kind, { samples, time, features, hidden }: Sizes, made: ReturnType<typeof make>) {
  const { run, values, upstream } = made;
  const output: number[] = [];
  const inputs: number[][] = [[], [], []];
  const parameters = new Map<string, number[]>();
  for (let sample = 0; sample < samples; sample++) {
    const of = (from: ArrayLike<number>, height: number, width: number) =>
      rows(from, width).slice(sample * height, (sample + 1) * height);
    const [one, other] = ["l0", "l0_reverse"].map((suffix, direction) => {
      const zeros = Array.from({ length: kind.gates * hidden }, () => 0);
      const weights = {
        ih: rows(weightOf(run, `0.weight_ih_${suffix}`)!, features),
        hh: rows(weightOf(run, `0.weight_hh_${suffix}`)!, hidden),
        biasIh: weightOf(run, `0.bias_ih_${suffix}`) ?? zeros,
        biasHh: weightOf(run, `0.bias_hh_${suffix}`) ?? zeros,
      };
      const sequence = {
        x: of(values[0], time, features),
        h0: of(values[1], 2, hidden)[direction],
        c0: kind.type === "lstm" ? of(values[2], 2, hidden)[direction] : zeros.slice(0, hidden),
        reverse: direction === 1,
      };
      const from = direction * hidden;
      const h = of(upstream, time, 2 * hidden).map((row) => row.slice(from, from + hidden));
      const gradients = { h, c: h.map((row) => row.map(() => 0)) };
      const back = pass.backward(kind.reference, sequence, weights, gradients, kind.options);
      const sums = { weight_ih: back.ih.flat(), weight_hh: back.hh.flat(), bias_ih: back.biasIh, bias_hh: back.biasHh };
      for (const [name, gradient] of Object.entries(sums)) add(parameters, `0.${name}_${suffix}`, gradient);
      return { ...back, y: pass.forward(kind.reference, sequence, weights, kind.options).h };
    });
    output.push(...one.y.flatMap((row, t) => [...row, ...other.y[t]]));
    inputs[0].push(...one.x.flatMap((row, t) => row.map((value, j) => value + other.x[t][j])));
    inputs[1].push(...one.h0, ...other.h0);
    inputs[2].push(...one.c0, ...other.c0);
  }
  return { output, inputs, parameters };
}

function weightOf(run: LayerRun, name: string): number[] | null {
  const parameter = run.parameters.find((candidate) => candidate.name === name);
  if (parameter === undefined) return null;
  const { weight, length } = parameter;
  return Array.from(run.kernels.f32.slice(weight / 4, weight / 4 + length));
}

function add(sums: Map<string, number[]>, name: string, values: readonly number[]): void {
  const sum = sums.get(name) ?? values.map(() => 0);
  sums.set(
    name,
    sum.map((value, i) => value + values[i]),
  );
}

const sizes: readonly Sizes[] = [
  { samples: 2, time: 1, features: 1, hidden: 1 },
  { samples: 1, time: 4, features: 3, hidden: 3 },
  { samples: 3, time: 3, features: 5, hidden: 4 },
  { samples: 2, time: 7, features: 2, hidden: 9 },
  // More samples than take a step at once, and more rows than a product takes at once.
  { samples: 51, time: 2, features: 9, hidden: 18 },
];

describe.each(kinds)("$name", (kind) => {
  it.each(sizes)("agrees with its reference: %o", (size) => {
    for (const bias of [true, false]) {
      const made = make(kind, size, bias);
      const { run, values, upstream } = made;
      run.forward(values, true);
      const output = run.output();
      run.backward(upstream, true);
      run.gradients();
      const expected = expectedOf(kind, size, made);
      expectClose(output, expected.output, 2e-6, "output");
      for (const [i, gradient] of expected.inputs.slice(0, values.length).entries())
        expectClose(run.inputGradient(i), gradient, 5e-6, `gradient of input ${i}`);
      for (const { name } of run.parameters)
        expectClose(run.parameterGradient(name), expected.parameters.get(name)!, 5e-6, name);
    }
  });

  it("gives the same bits however samples and rows are cut, and touches no other samples", () => {
    const size = { samples: 53, time: 3, features: 5, hidden: 6 };
    const width = size.time * 2 * size.hidden;
    const results = [
      [0, 53],
      [0, 1, 2, 49, 53],
      [0, 30, 53],
    ].map((slabs, i) => {
      const { run, values, upstream } = make(kind, size);
      // A slab goes all the way, as a thread's does: memory is used again on the way.
      const output = slabs.slice(1).flatMap((end, slab) => {
        run.forward(values, true, [slabs[slab], end]);
        const made = Array.from(run.output().slice(slabs[slab] * width, end * width));
        run.backward(upstream, true, [slabs[slab], end]);
        return made;
      });
      run.gradients(i === 0 ? Infinity : 3 * i + 2);
      const gradients = run.parameters.map(({ name }) => run.parameterGradient(name));
      return [Float32Array.from(output), ...values.map((_, input) => run.inputGradient(input)), ...gradients].map(
        bitsOf,
      );
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it("passes NaN on", () => {
    const { run, values, upstream } = make(kind, sizes[2], true, Number.NaN);
    run.forward(values, true);
    expect(run.output().every(Number.isNaN)).toBe(true);
    run.backward(upstream.fill(Number.NaN), true);
    run.gradients();
    expect(run.inputGradient(0).every(Number.isNaN)).toBe(true);
    expect(run.parameterGradient("0.weight_hh_l0").every(Number.isNaN)).toBe(true);
  });
});

function bitsOf(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}

describe("what comes out", () => {
  const run = (options: object, shape = [6, 4]) =>
    new LayerRun(
      [withDefaults(layers.lstm, { hidden_size: 3, ...options })],
      [{ name: "x", shape, type: "float32" }],
      2,
    );
  const shapeOf = (options: object) => {
    const { graph } = run(options);
    return graph.values[graph.output].shape;
  };

  it.each([
    [{}, [3]],
    [{ bidirectional: true }, [6]],
    [{ output: "all", bidirectional: true, num_layers: 2 }, [6, 6]],
    [{ output: "last_state", bidirectional: true, num_layers: 2 }, [12]],
    [{ output: "last_cell", num_layers: 2 }, [6]],
  ])("%o gives %o", (options, shape) => {
    expect(shapeOf(options)).toEqual(shape);
  });

  it("drops states between layers, and only there", () => {
    const nodes = (dropout: number, num_layers: number) =>
      run({ dropout, num_layers })
        .graph.nodes.filter(({ member }) => member.type === "dropout")
        .map(({ path }) => path);
    expect(nodes(0.5, 3)).toEqual(["0.dropout_l0", "0.dropout_l1"]);
    expect(nodes(0.5, 1)).toEqual([]);
    expect(nodes(0, 3)).toEqual([]);
  });

  it("names its parameters as PyTorch does, and starts them within 1/√hidden_size", () => {
    const { parameters } = run({ num_layers: 2, bidirectional: true, hidden_size: 4 });
    const names = ["l0", "l0_reverse", "l1", "l1_reverse"].flatMap((suffix) =>
      ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map((name) => `0.${name}_${suffix}`),
    );
    expect(parameters.map(({ name }) => name)).toEqual(names);
    expect(parameters[8].shape).toEqual([16, 8]);
    for (const { initializer } of parameters) expect(initializer).toEqual({ distribution: "uniform", bound: 0.5 });
  });
});

describe("what does not fit", () => {
  const faultOf = (options: object, shape: number[], type: "float32" | "int32" = "float32") => {
    try {
      const layer = withDefaults(layers.lstm, { hidden_size: 3, ...options });
      const states = [1, 2].map((i) => ({ name: `s${i}`, shape: [2, 3], type: "float32" as const }));
      void new LayerRun([layer], [{ name: "x", shape, type }, ...states], 2);
    } catch (error) {
      if (error instanceof PlanError) return error.faults[0];
      throw error;
    }
    return null;
  };

  it.each([
    [{}, [4], "float32", "/model/layers/0", "takes sequences [time, features], but its input is [4]"],
    [{}, [4, 2], "int32", "/model/layers/0", "put an embedding before it"],
    [
      { input_size: 5 },
      [4, 2],
      "float32",
      "/model/layers/0/input_size",
      "is 5, but the last dimension of the input [4, 2] is 2; leave it out",
    ],
    [{ inputs: ["x", "s1"] }, [4, 2], "float32", "/model/layers/0/inputs", "h_0 and c_0, but has 2 inputs"],
    [{ inputs: ["x", "s1", "s2"] }, [4, 2], "float32", "/model/layers/0/inputs/1", "takes h_0 as numbers [1, 3]"],
  ] as const)("%o with an input of %o %s", (options, shape, type, pointer, message) => {
    expect(faultOf(options, [...shape], type)).toMatchObject({ pointer, message: expect.stringContaining(message) });
  });

  it("takes states for all layers and directions", () => {
    expect(faultOf({ inputs: ["x", "s1", "s2"], num_layers: 2 }, [4, 2])).toBeNull();
  });
});
