import { expect } from "vitest";
import { layers } from "../../src/engine/layers/registry.generated.ts";
import { withDefaults } from "../../src/engine/member/options.ts";
import type { Member } from "../../src/engine/settings.ts";
import type { NamedValue } from "../../src/engine/plan/graph.ts";
import { size } from "../../src/engine/member/shape.ts";
import { expectClose } from "./golden.ts";
import { LayerRun } from "./layer-run.ts";

/*
 * What a layer must do, whichever it is: give its reference's output, and the gradients of it,
 * whatever the slabs of samples and the rows of parameters are cut into.
 */

/** A layer, or several, that are held to a reference. */
export interface LayerCase {
  readonly title: string;
  readonly layers: readonly Member[];
  readonly inputs: readonly NamedValue[];
  readonly samples: number;
  /** Values of the integer inputs, by input. Default of floats: numbers in −2..2. */
  readonly values?: Readonly<Record<string, readonly number[]>>;
  /** The output for all samples, in doubles. */
  readonly reference: (inputs: readonly (readonly number[])[], parameters: Parameters) => readonly number[];
  /** Of relative error. Default: 2e-6 for the output and 1e-5 for gradients. */
  readonly tolerances?: readonly [output: number, gradients: number];
}

export type Parameters = Readonly<Record<string, readonly number[]>>;

/** Numbers in −2..2, the same every time. */
export function numbers(count: number, seed: number): number[] {
  let state = seed + 1;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 30 - 2);
  });
}

/** Lists of `length` numbers. */
export function rowsOf(flat: readonly number[], length: number): number[][] {
  return Array.from({ length: flat.length / length }, (_, i) => flat.slice(i * length, (i + 1) * length));
}

export const float = (name: string, ...shape: number[]): NamedValue => ({ name, shape, type: "float32" });
export const integer = (name: string, shape: number[], categories: number | null = null): NamedValue => {
  return { name, shape, type: "int32", categories };
};

/** A layer named `it` that takes all of `inputs`. */
export function single(
  type: keyof typeof layers,
  options: object,
  inputs: readonly NamedValue[],
  reference: LayerCase["reference"],
  more: Pick<LayerCase, "values" | "tolerances"> & { readonly samples?: number } = {},
): LayerCase {
  const names = inputs.length > 1 ? { inputs: inputs.map(({ name }) => name) } : {};
  const layer = { ...withDefaults(layers[type], { ...options }), ...names, name: "it" };
  const title = `${type} ${JSON.stringify(options)} on ${inputs.map(({ shape }) => `[${shape.join(", ")}]`).join(", ")}`;
  return { title, layers: [layer], inputs, samples: 3, reference, ...more };
}

interface Results {
  readonly output: Float32Array;
  readonly inputs: readonly (Float32Array | null)[];
  readonly parameters: Readonly<Record<string, Float32Array>>;
}

interface Cuts {
  readonly slabs?: readonly number[];
  readonly rows?: number;
}

function copySamples(from: Float32Array, to: Float32Array, [begin, end]: readonly number[], samples: number): void {
  const length = to.length / samples;
  to.set(from.subarray(begin * length, end * length), begin * length);
}

class Prepared {
  readonly inputs: readonly number[][];
  readonly parameters: Record<string, number[]>;
  readonly upstream: number[];
  readonly #case: LayerCase;

  constructor(layerCase: LayerCase) {
    const { layers, inputs, samples, values = {} } = layerCase;
    const run = new LayerRun(layers, inputs, samples);
    this.#case = layerCase;
    this.inputs = inputs.map(({ name, shape }, i) => [...(values[name] ?? numbers(samples * size(shape), i))]);
    this.parameters = Object.fromEntries(run.parameters.map(({ name, length }, i) => [name, numbers(length, 100 + i)]));
    this.upstream = numbers(samples * size(run.graph.values[run.graph.output].shape), 200);
  }

  /**
   * Each slab goes forward and back before the next one, as in a thread: what only its own pass
   * reads lies in memory that the next one uses again.
   */
  run({ slabs, rows }: Cuts = {}): Results {
    const { layers, inputs, samples } = this.#case;
    const run = new LayerRun(layers, inputs, samples);
    for (const [name, values] of Object.entries(this.parameters)) run.setParameter(name, values);
    const output = new Float32Array(this.upstream.length);
    const gradients = inputs.map(({ type, shape }) =>
      type === "float32" ? new Float32Array(samples * size(shape)) : null,
    );
    const cuts = slabs ?? [0, samples];
    for (let i = 1; i < cuts.length; i++) {
      const slab = cuts.slice(i - 1, i + 1);
      run.forward(this.inputs, true, slab);
      copySamples(run.output(), output, slab, samples);
      run.backward(this.upstream, true, slab);
      gradients.forEach((to, input) => to && copySamples(run.inputGradient(input), to, slab, samples));
    }
    run.gradients(rows);
    const parameters = run.parameters.map(({ name }): [string, Float32Array] => [name, run.parameterGradient(name)]);
    return { output, inputs: gradients, parameters: Object.fromEntries(parameters) };
  }

  /** By central differences of the reference, at up to 40 places of `list`. */
  checkGradient(list: number[], gradient: Float32Array, tolerance: number, what: string): void {
    const loss = () =>
      this.#case.reference(this.inputs, this.parameters).reduce((sum, value, i) => sum + value * this.upstream[i], 0);
    const step = Math.max(1, Math.floor(list.length / 40));
    for (let i = 0; i < list.length; i += step) {
      const value = list[i];
      const at = (x: number) => {
        list[i] = x;
        return loss();
      };
      const slope = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
      list[i] = value;
      expectClose([gradient[i]], [slope], tolerance, `${what}, place ${i}`);
    }
  }
}

/** Holds output and gradients to the reference. */
export function expectReference(layerCase: LayerCase): void {
  const [outputs, gradients] = layerCase.tolerances ?? [2e-6, 1e-5];
  const prepared = new Prepared(layerCase);
  const results = prepared.run();
  expectClose(results.output, layerCase.reference(prepared.inputs, prepared.parameters), outputs, "output");
  results.inputs.forEach((gradient, i) => {
    if (gradient) prepared.checkGradient(prepared.inputs[i], gradient, gradients, `gradient of input ${i}`);
  });
  for (const [name, gradient] of Object.entries(results.parameters))
    prepared.checkGradient(prepared.parameters[name], gradient, gradients, `gradient of ${name}`);
}

/**
 * Holds the bits to those of one slab and whole parameters. `mixes`: the samples cannot be cut one
 * slab after another.
 */
export function expectSameBits(layerCase: LayerCase, mixes = false): void {
  const prepared = new Prepared(layerCase);
  const whole = bitsOf(prepared.run());
  const { samples } = layerCase;
  const each = Array.from({ length: samples + 1 }, (_, i) => i);
  const cuts: Cuts[] = [{ rows: 1 }, { rows: 3 }];
  if (!mixes) cuts.push({ slabs: each }, { slabs: [0, 1, samples], rows: 2 });
  for (const cut of cuts) expect(bitsOf(prepared.run(cut)), JSON.stringify(cut)).toEqual(whole);
}

function bitsOf({ output, inputs, parameters }: Results): Int32Array[] {
  const all = [output, ...inputs.filter((gradient) => gradient !== null), ...Object.values(parameters)];
  return all.map((values) => new Int32Array(values.buffer, values.byteOffset, values.length));
}

/** NaN in the first sample reaches its output, and no other sample's. */
export function expectNaN({ layers, inputs, samples }: LayerCase): void {
  const run = new LayerRun(layers, inputs, samples);
  const values = inputs.map(({ shape }, i) => numbers(samples * size(shape), i));
  values[0].fill(Number.NaN, 0, size(inputs[0].shape));
  run.parameters.forEach(({ name, length }, i) => run.setParameter(name, numbers(length, i)));
  run.forward(values, true);
  const output = run.output();
  const sample = output.length / samples;
  expect(output.subarray(0, sample).every(Number.isNaN)).toBe(true);
  expect(output.subarray(sample).some(Number.isNaN)).toBe(false);
}

/** A forward pass over sample 1 alone gives its output, and writes nothing of the others'. */
export function expectUntouched(layerCase: LayerCase): void {
  const { layers, inputs, samples } = layerCase;
  const prepared = new Prepared(layerCase);
  const whole = rowsOf([...prepared.run().output], prepared.upstream.length / samples);
  const run = new LayerRun(layers, inputs, samples);
  for (const [name, values] of Object.entries(prepared.parameters)) run.setParameter(name, values);
  run.forward(prepared.inputs, true, [1, 2]);
  const alone = rowsOf([...run.output()], whole[0].length);
  alone.forEach((row, sample) => expect(row).toEqual(sample === 1 ? whole[1] : row.map(() => 0)));
}
