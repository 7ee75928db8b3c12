import { globSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { MAX_SUMS, type OptimizerType } from "../../../src/engine/optimizers/optimizer.ts";
import type { Reference, ReferenceTensor } from "../../../src/engine/optimizers/reference.ts";
import type { Member, Option } from "../../../src/engine/options.ts";
import { Bench } from "../../support/kernels.ts";
import { expectClose, goldenCases, tolerance } from "../../support/golden.ts";
import { Optimizing } from "../../support/optimizing.ts";
import { row, type OptimizerCase } from "../../conformance/optimizer.ts";
import { translate } from "../../conformance/names.ts";

/*
 * What every optimizer of the registry must pass: its kernel agrees with its reference under every setting of its options and gives the
 * same bits however the tensors are sliced, and its reference agrees with the libraries' double-precision numbers.
 */

const folder = new URL("../../../src/engine/optimizers/", import.meta.url);
const modules = globSync("*/reference.ts", { cwd: folder }).map((file) => import(new URL(file, folder).href));
const references = Object.assign({}, ...(await Promise.all(modules))) as Record<string, Reference<unknown> | undefined>;
const types = Object.entries(optimizers) as unknown as [string, OptimizerType][];

/** Every combination of an option's interesting values that goes together. */
function settings(type: OptimizerType): Member[] {
  const combine = (members: Member[], [name, option]: [string, Option]) =>
    members.flatMap((member) => interesting(name, option).map((value) => ({ ...member, [name]: value })));
  const all = Object.entries(type.options).reduce(combine, [{ type: type.type }]);
  return all.filter((member) => (type.check?.(member as never) ?? []).length === 0);
}

function interesting(name: string, option: Option): unknown[] {
  if (name === "lr") return [0.02];
  if (name === "betas") return [option.default, [0.6, 0.7]];
  if (name === "alpha") return [option.default, 0.9];
  if (name === "eps") return [option.default, 0.01];
  if (option.kind === "boolean") return [false, true];
  if (option.kind === "integer") return [option.default, 3];
  return [...new Set([option.default, 0.3])];
}

/**
 * Reproducible numbers in ±[scale/4, scale], every eleventh of them zero. Gradients are kept well above what weight decay adds to them: where
 * the two cancel, an optimizer that divides by the gradient's size makes a full step out of the rounding error.
 */
function numbers(length: number, seed: number, scale: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => {
    const x = Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453;
    const unit = x - Math.floor(x);
    return i % 11 === 5 ? 0 : Math.sign(unit - 0.5) * scale * (0.25 + 0.75 * unit);
  });
}

const LENGTHS = [1, 7, 64, 4099];
const initial = LENGTHS.map((length) => numbers(length, 1, 0.3));
/** Of step t. */
const gradients = Array.from({ length: 7 }, (_, t) => LENGTHS.map((length) => numbers(length, 10 + t, 2)));

describe.each(types)("%s", (name, type) => {
  it("names itself after its file and explains itself", () => {
    expect(type.type).toBe(name);
    for (const text of [type.summary, type.formula, type.source]) expect(text).not.toBe("");
  });

  it("keeps to the limit of sums", () => {
    const { optimizer } = new Optimizing(new Bench(), type, settings(type)[0], []);
    const sums = optimizer.passes.reduce((count, pass) => count + pass.sums, 0);
    expect(sums).toBeLessThanOrEqual(MAX_SUMS);
  });

  it("moves as its reference does, under every setting of its options", () => {
    for (const member of settings(type)) {
      const run = new Optimizing(new Bench(), type, member, initial);
      const tensors = LENGTHS.map((_, i) => referenceTensor(type, member, initial[i]));
      for (let t = 1; t <= 6; t++) {
        const lr = 0.02 / t;
        run.step(t, lr, gradients[t]);
        tensors.forEach((tensor, i) => {
          tensor.gradient.set(gradients[t][i]);
          references[name]!(member, tensor, t, lr);
          const what = `${JSON.stringify(member)}, step ${t}, tensor ${i}`;
          expectClose(run.weights(i), tensor.weight, 1e-5, what);
          for (const state of run.stateNames)
            expectClose(run.state(i, state), tensor.state[state], 1e-5, `${what}, ${state}`);
          if (type.evaluatesOthers) expectClose(run.evaluated(i), tensor.evaluated, 1e-5, `${what}, to evaluate`);
        });
      }
    }
  });

  it.each([4, 12, 1000, 4092])("gives the same bits in slices of %d elements", (slice) => {
    for (const member of settings(type)) {
      const [whole, sliced] = [0, 0].map(() => new Optimizing(new Bench(), type, member, initial));
      for (let t = 1; t <= 3; t++) {
        whole.step(t, 0.02, gradients[t]);
        sliced.step(t, 0.02, gradients[t], slice);
      }
      LENGTHS.forEach((length, i) => {
        const bytes = ({ bench, tensors }: Optimizing) =>
          Buffer.concat(
            [tensors[i].weight, ...tensors[i].state].map((address) => Buffer.from(bench.bits(address, length).buffer)),
          );
        expect(bytes(sliced).equals(bytes(whole)), `${JSON.stringify(member)}, tensor ${i}`).toBe(true);
      });
    }
  });

  it("leaves its neighbours in memory alone", () => {
    for (const member of settings(type)) {
      const bench = new Bench();
      const run = new Optimizing(bench, type, member, [numbers(64, 1, 1)]);
      const [{ weight, gradient, state }] = run.tensors;
      const before = [weight, gradient, ...state].map((address) => bench.bits(address, 64));
      const half = { ...run.tensors[0], length: 29 };
      run.optimizer.begin(1, 0.02);
      const sums = bench.reserve(64);
      for (const pass of run.optimizer.passes) pass.run(half, 0, 29, sums);
      const after = [weight, gradient, ...state].map((address) => bench.bits(address, 64));
      expect(after.map((bits) => bits.slice(29))).toEqual(before.map((bits) => bits.slice(29)));
    }
  });
});

function referenceTensor(type: OptimizerType, member: Member, weight: ArrayLike<number>): ReferenceTensor {
  const state = type
    .state(member as never)
    .map(({ name, initial: start }): [string, Float64Array] => [
      name,
      start === "parameter" ? Float64Array.from(weight) : new Float64Array(weight.length).fill(start),
    ]);
  return {
    weight: Float64Array.from(weight),
    gradient: new Float64Array(weight.length),
    state: Object.fromEntries(state),
    scalars: { ...new Optimizing(new Bench(), type, member, []).optimizer.scalars },
    evaluated: new Float64Array(weight.length),
  };
}

const golden = ["torch", "optax"].flatMap((library) => goldenCases<OptimizerCase>(`optimizers/${library}.json`));

describe("references", () => {
  const cases = golden.flatMap((golden) => {
    try {
      return [{ golden, member: translate(optimizers, golden.library, golden.optimizer, golden.options) }];
    } catch {
      return [];
    }
  });

  it.each(cases.map(({ golden, member }): [string, OptimizerCase, Member] => [golden.id, golden, member]))(
    "agree with the library in double: %s",
    (_id, { params, steps, lr_per_step: rates, expected }, member) => {
      const type = optimizers[member.type as keyof typeof optimizers] as unknown as OptimizerType;
      for (const { name, initial: start, grads } of params) {
        const tensor = referenceTensor(type, member, start.data);
        const { checkpoints, values, eval_values } = expected.float64[name];
        for (let t = 1; t <= steps; t++) {
          tensor.gradient.set(row(grads, t - 1, start.data.length));
          references[member.type]!(member, tensor, t, rates?.[t - 1] ?? (member.lr as number));
          const at = checkpoints.indexOf(t);
          if (at === -1) continue;
          // optax computes its warm-up factor in float32 also in the double-precision run.
          const limit = member.type === "schedule_free_adamw" ? 1e-7 : 1e-11;
          expectClose(tensor.weight, row(values, at, start.data.length), limit, `${name} after step ${t}`);
          if (eval_values)
            expectClose(tensor.evaluated, row(eval_values, at, start.data.length), limit, `${name} average`);
        }
      }
    },
  );
});

describe("options that do not go together", () => {
  const faults = (type: OptimizerType, options: object) =>
    type.check!({ ...translate({ [type.type]: type }, "torch", type.type, {}), ...options } as never).map(
      ({ option }) => option,
    );

  it("are named: nesterov needs momentum and no dampening", () => {
    const sgd = optimizers.sgd as unknown as OptimizerType;
    expect(faults(sgd, { nesterov: true })).toEqual(["momentum"]);
    expect(faults(sgd, { nesterov: true, momentum: 0.9, dampening: 0.1 })).toEqual(["dampening"]);
    expect(faults(sgd, { nesterov: true, momentum: 0.9 })).toEqual([]);
    expect(faults(sgd, { dampening: 0.1 })).toEqual([]);
  });

  it("are named: schedule-free averaging divides by the first beta", () => {
    const type = optimizers.schedule_free_adamw as unknown as OptimizerType;
    expect(faults(type, { betas: [0, 0.999] })).toEqual(["betas"]);
    expect(faults(type, {})).toEqual([]);
  });
});

describe("numbers at the edge", () => {
  it("a centered RMSprop never divides by the root of a negative variance", () => {
    const type = optimizers.rmsprop as unknown as OptimizerType;
    const member = translate({ rmsprop: type }, "torch", "RMSprop", { centered: true, alpha: 0.5 });
    const run = new Optimizing(new Bench(), type, member, [[1, 1, 1, 1, 1]]);
    for (let t = 1; t <= 60; t++) run.step(t, 1e-9, [[0.1, 0.3, 1e-3, 7, 1e5]]);
    expect([...run.weights(0)].every(Number.isFinite)).toBe(true);
  });

  it("a NaN in the gradient reaches the weights, so that divergence is seen", () => {
    for (const [name, type] of types) {
      const run = new Optimizing(new Bench(), type, settings(type)[0], [[1, 2, 3, 4, 5]]);
      run.step(1, 0.1, [[0, NaN, 0, 0, NaN]]);
      run.step(2, 0.1, [[0, 0, 0, 0, 0]]);
      expect([Number.isNaN(run.weights(0)[1]), Number.isNaN(run.weights(0)[4])], name).toEqual([true, true]);
    }
  });

  it("LAMB takes a tensor of zeros, and one whose gradient is zero, for ratio 1", () => {
    const type = optimizers.lamb as unknown as OptimizerType;
    const run = new Optimizing(new Bench(), type, translate({ lamb: type }, "torch", "lamb", {}), [
      [0, 0],
      [3, 4],
    ]);
    run.step(1, 0.1, [
      [1, -1],
      [0, 0],
    ]);
    expectClose(run.weights(0), [-0.1, 0.1], tolerance(1e-6), "from zero");
    expect([...run.weights(1)]).toEqual([3, 4]);
  });
});
