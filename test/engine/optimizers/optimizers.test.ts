import { describe, expect, it } from "vitest";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { configure } from "../../../src/engine/optimizers/configure.ts";
import { MAX_SUMS, type OptimizerType } from "../../../src/engine/optimizers/optimizer.ts";
import { size, type Shape } from "../../../src/engine/member/shape.ts";
import { rateAt } from "../../../src/engine/schedules/learning-rate.ts";
import { withSpan } from "../../../src/engine/schedules/span.ts";
import { schedules } from "../../../src/engine/schedules/registry.generated.ts";
import { withDefaults } from "../../../src/engine/member/options.ts";
import { Bench } from "../../support/kernels.ts";
import { expectClose, tolerance } from "../../support/golden.ts";
import { Optimizing, type Parameter } from "../../support/optimizing.ts";
import { tries } from "../../support/tries.ts";
import { numbers, referenceOf, referenceTensor } from "../../support/references.ts";
import type { Schedule, Member } from "../../../src/engine/settings.ts";

/*
 * What every optimizer of the registry must pass: its kernel agrees with its reference under every
 * pair of settings of its options and gives the same bits however the tensors are sliced, and its
 * reference agrees with the libraries' double-precision numbers. Optimizers that search for their
 * step have tests of their own (lbfgs.test.ts).
 */

const all = Object.entries(optimizers);
const types = all.filter(([, type]) => !type.fullBatch);

/**
 * The defaults, and every change of one or two options to another value, as far as they go
 * together.
 */
function settings(type: OptimizerType): Member[] {
  const options = Object.entries(type.options);
  const required = options.filter(([, option]) => option.default === undefined);
  const base = {
    ...withDefaults(type),
    ...Object.fromEntries(required.map(([name, option]) => [name, tries(option)[0]])),
  };
  const changes = options.flatMap(([name, option]) => tries(option).map((value) => ({ [name]: value })));
  const pairs = changes.flatMap((one, i) => changes.slice(i + 1).map((other) => ({ ...one, ...other })));
  const members = [{}, ...changes, ...pairs].map((change): Member => ({ ...base, ...change }));
  return members.filter((member) => configure(member).check().length === 0);
}

/** The member with another momentum, wherever it stands; of several numbers the first. */
function underMomentum(member: Member, momentum: number): Member {
  const [option, ...within] = configure(member).cycled!.option.split("/");
  const value = member[option];
  if (within.length > 0) return { ...member, [option]: underMomentum(value as Member, momentum) };
  return { ...member, [option]: Array.isArray(value) ? [momentum, ...value.slice(1)] : momentum };
}

const exact = (member: Member): Member => ("ns_precision" in member ? { ...member, ns_precision: "float32" } : member);

const SHAPES: readonly Shape[] = [[1], [7], [4, 16], [13, 5], [2, 3, 4, 5], [4099]];
const parameters = SHAPES.map((shape): Parameter => ({ shape, values: numbers(size(shape), 1, 0.3) }));
/** Of step t; the third row of the second matrix never has one, as an embedding's would. */
const gradients = Array.from({ length: 7 }, (_, t) =>
  SHAPES.map((shape, i) => {
    const gradient = numbers(size(shape), 10 + t, 2);
    return i === 3 ? gradient.fill(0, 10, 15) : gradient;
  }),
);

describe.each(all)("%s", (key, type) => {
  it("is in the registry under its dialect and type, and has a description", () => {
    expect(type.dialect === undefined ? type.type : `${type.dialect}_${type.type}`).toBe(key);
    for (const text of [type.summary, type.formula, type.source]) expect(text).not.toBe("");
    for (const { doc } of Object.values(type.options)) expect(doc).not.toBe("");
  });
});

it("a schedule can cycle the momentum of all optimizers that have one", () => {
  const fixed = all.filter(([, type]) => type.type !== "lookahead" && type.cycledOption === undefined);
  expect(new Set(fixed.map(([, { type }]) => type))).toEqual(
    new Set(["adadelta", "adafactor", "adagrad", "asgd", "ftrl", "lbfgs", "rprop", "schedule_free_adamw"]),
  );
});

describe.each(types)("%s", (_key, type) => {
  it("keeps to the limit of sums", () => {
    const { optimizer } = new Optimizing(new Bench(), settings(type)[0], []);
    for (const { sums = 0 } of optimizer.passes) expect(sums).toBeLessThanOrEqual(MAX_SUMS);
  });

  it("moves as its reference does, under every pair of its options", () => {
    for (const member of settings(type).map(exact)) {
      const run = new Optimizing(new Bench(), member, parameters);
      const reference = referenceOf(member);
      const tensors = parameters.map((parameter) => referenceTensor(member, parameter));
      for (let t = 1; t <= 6; t++) {
        const lr = 0.02 / t;
        run.setGradients(gradients[t]);
        run.step(t, lr);
        tensors.forEach((tensor, i) => tensor.gradient.set(gradients[t][i]));
        reference(tensors, t, lr);
        tensors.forEach((tensor, i) => {
          const what = `${JSON.stringify(member)}, step ${t}, tensor ${i}`;
          expectClose(run.weights(i), tensor.weight, 1e-5, what);
          for (const [name, values] of run.state(i)) expectClose(values, tensor.state[name], 1e-5, `${what}, ${name}`);
          if (type.evaluatesOthers) expectClose(run.evaluated(i), tensor.evaluated, 1e-5, `${what}, to evaluate`);
        });
      }
    }
  });

  it("moves as its reference does under a momentum that is cycled, if it has one", () => {
    for (const member of settings(type).map(exact)) {
      if (!configure(member).cycled?.kept) continue;
      const run = new Optimizing(new Bench(), member, parameters);
      const tensors = parameters.map((parameter) => referenceTensor(member, parameter));
      for (let t = 1; t <= 6; t++) {
        const momentum = 0.95 - 0.1 * t;
        run.setGradients(gradients[t]);
        run.step(t, 0.02, undefined, momentum);
        tensors.forEach((tensor, i) => tensor.gradient.set(gradients[t][i]));
        referenceOf(underMomentum(member, momentum))(tensors, t, 0.02);
      }
      tensors.forEach((tensor, i) =>
        expectClose(run.weights(i), tensor.weight, 1e-5, `${JSON.stringify(member)}, tensor ${i}`),
      );
    }
  });

  it.each([4, 12, 1000, 4092])("gives the same bits in slices of %d elements", (slice) => {
    for (const member of settings(type).slice(0, 12)) {
      const [whole, sliced] = [0, 0].map(() => new Optimizing(new Bench(), member, parameters));
      for (let t = 1; t <= 3; t++) {
        for (const run of [whole, sliced]) run.setGradients(gradients[t]);
        whole.step(t, 0.02);
        sliced.step(t, 0.02, slice);
      }
      SHAPES.forEach((_, i) => {
        expect(bytesOf(sliced, i).equals(bytesOf(whole, i)), `${JSON.stringify(member)}, tensor ${i}`).toBe(true);
      });
    }
  });

  it("leaves its neighbours in memory alone", () => {
    for (const member of settings(type).slice(0, 12)) {
      const bench = new Bench();
      const run = new Optimizing(bench, member, [{ shape: [29], values: numbers(29, 1, 1) }]);
      const [{ weight, gradient, state }] = run.tensors;
      const after = (address: number) => bench.bits(address + 29 * 4, 3);
      const places = [weight, gradient, ...state.filter((_, i) => run.configured.state([29])[i].shape === undefined)];
      for (const place of places) bench.kernels.i32.fill(7, (place >> 2) + 29, (place >> 2) + 32);
      run.step(1, 0.02);
      for (const place of places) expect([...after(place)]).toEqual([7, 7, 7]);
    }
  });
});

function bytesOf({ bench, tensors, configured }: Optimizing, i: number): Buffer {
  const { weight, state, shape, length } = tensors[i];
  const states = configured.state(shape).map(({ shape: own = shape }, j) => bench.bits(state[j], size(own)));
  return Buffer.concat([bench.bits(weight, length), ...states].map((bits) => Buffer.from(bits.buffer)));
}

/**
 * Every rate from which or to which a schedule of the registry leads, after few steps and after
 * very many.
 */
const ENDS = (() => {
  const { kernels } = new Bench(0);
  const required = {
    step_size: 3,
    gamma: 0.5,
    milestones: [2],
    factors: [1],
    stable: 2,
    decay: 3,
    total_steps: 10,
    max_lr: 0.02,
    base_lr: 0,
    d_model: 64,
    factor: 0.5,
    t_0: 4,
    t_max: 5,
    warmup: 3,
    schedulers: [withDefaults(schedules.polynomial), withDefaults(schedules.exponential, { gamma: 0.1 })],
  };
  const times = [0, 1, 4, 5, 9, 30, 50, 320, 1_000_000];
  // A test of rates goes up to where a model diverges.
  const training = Object.values(schedules).filter(({ tests }) => tests === undefined);
  const rates = training.flatMap((type) => {
    const unset = Object.entries(required).filter(([name]) => type.options[name]?.default == null);
    const given = Object.fromEntries(unset.filter(([name]) => name in type.options));
    const open: Schedule = { ...withDefaults(type, given), interval: "step", warmup_steps: 0 };
    const schedule = withSpan(open, 10);
    return times.map((step) => rateAt(kernels, schedule, 0.02, { step, stepsPerEpoch: 1, state: null }).lr);
  });
  return [...new Set([...rates, 1e-30])].sort((a, b) => b - a);
})();

describe("at the end of every schedule", () => {
  const shapes: readonly Shape[] = [[7], [4, 6]];
  /**
   * Where weights move to averages, the step before has set the rate, or the rate is no factor of
   * the step.
   */
  const MOVES_ON = new Set([
    "asgd",
    "rprop",
    "lookahead",
    "optax_lookahead",
    "schedule_free_adamw",
    "optax_schedule_free_adamw",
  ]);
  /** With momentum of a step that the rate is in already. */
  const keeps = (key: string, { momentum = 0 }: Member) =>
    !MOVES_ON.has(key) && !(momentum !== 0 && /^keras_|^optax_rmsprop/.test(key));

  it("the rates are 0, tiny and usual ones", () => {
    expect(ENDS.at(-1)).toBe(0);
    expect(ENDS.filter((rate) => rate > 0 && rate < 1e-30).length).toBeGreaterThan(2);
    expect(ENDS.every((rate) => Number.isFinite(rate) && rate <= 0.1)).toBe(true);
  });

  it.each(types)("%s stays finite, and a rate of 0 moves no weight", (key, type) => {
    for (const member of settings(type)) {
      const run = new Optimizing(
        new Bench(),
        member,
        shapes.map((shape) => ({ shape, values: numbers(size(shape), 1, 0.3) })),
      );
      const weights = () => shapes.map((_, i) => [...run.weights(i)]);
      for (const [i, rate] of [0, 0.02, 0, ...ENDS].entries()) {
        run.setGradients(shapes.map((shape) => numbers(size(shape), 10 + i, 2)));
        const before = weights();
        run.step(i + 1, rate);
        const about = `${JSON.stringify(member)} at ${rate}`;
        const all = shapes.flatMap((_, j) => [
          ...run.weights(j),
          ...run.evaluated(j),
          ...[...run.state(j).values()].flatMap((tensor) => [...tensor]),
        ]);
        expect([...all, ...Object.values(run.optimizer.scalars ?? {})].every(Number.isFinite), about).toBe(true);
        if (rate === 0 && keeps(key, member)) expect(weights(), about).toEqual(before);
      }
    }
  });

  it.each([null, "strong_wolfe"])("L-BFGS likewise, its line search %s", (line_search_fn) => {
    const member = withDefaults(optimizers.lbfgs, { line_search_fn, max_iter: 4 });
    const run = new Optimizing(new Bench(), member, [{ shape: [3], values: [1, -2, 3] }]);
    const evaluate = () => {
      const x = [...run.weights(0)];
      run.setGradients([x.map((value, i) => 2 * (i + 1) * value)]);
      return x.reduce((sum, value, i) => sum + (i + 1) * value * value, 0);
    };
    for (const [i, rate] of [0, 0.02, 0, ...ENDS].entries()) {
      const before = [...run.weights(0)];
      run.search(i + 1, rate, evaluate);
      expect([...run.weights(0), ...Object.values(run.optimizer.scalars!)].every(Number.isFinite)).toBe(true);
      if (rate === 0 && line_search_fn === null) expect([...run.weights(0)]).toEqual(before);
    }
  });

  it("the rate of Muon's fallback is proportional to Muon's, and 0 where that is 0", () => {
    const steps = (lr: number, ...rates: number[]) => {
      const muon = new Optimizing(new Bench(), withDefaults(optimizers.muon, { lr }), [{ shape: [1], values: [1] }]);
      muon.setGradients([[1]]);
      rates.forEach((rate, i) => muon.step(i + 1, rate));
      return muon.weights(0)[0];
    };
    expect(steps(0, 0, 0)).toBe(1);
    expect(steps(0.02, 0, 0)).toBe(1);
    // AdamW's first step is as long as its rate of 1e-3, of which a half is asked for.
    expect(steps(0.02, 0.01)).toBeCloseTo(1 - 0.5e-3, 4);
  });
});

describe("numbers at the edge", () => {
  const run = (type: string, options: Record<string, unknown>, values: number[][]) =>
    new Optimizing(
      new Bench(),
      withDefaults(optimizers[type], options),
      values.map((row) => ({ shape: [row.length], values: row })),
    );

  it("a centered RMSprop never divides by the root of a negative variance", () => {
    const centered = run("rmsprop", { centered: true, alpha: 0.5 }, [[1, 1, 1, 1, 1]]);
    centered.setGradients([[0.1, 0.3, 1e-3, 7, 1e5]]);
    for (let t = 1; t <= 60; t++) centered.step(t, 1e-9);
    expect([...centered.weights(0)].every(Number.isFinite)).toBe(true);
  });

  it.each(types)("%s: a NaN in the gradient reaches the weights, so that divergence is seen", (_key, type) => {
    const withNaN = new Optimizing(new Bench(), settings(type)[0], [{ shape: [5], values: [1, 2, 3, 4, 5] }]);
    withNaN.setGradients([[0, NaN, 0, 0, NaN]]);
    withNaN.step(1, 0.1);
    withNaN.setGradients([[0, 0, 0, 0, 0]]);
    withNaN.step(2, 0.1);
    const weights = withNaN.weights(0);
    expect([Number.isNaN(weights[1]), Number.isNaN(weights[4])]).toEqual([true, true]);
  });

  it("LAMB takes a tensor of zeros, and one whose gradient is zero, for ratio 1", () => {
    const lamb = run("lamb", {}, [
      [0, 0],
      [3, 4],
    ]);
    lamb.setGradients([
      [1, -1],
      [0, 0],
    ]);
    lamb.step(1, 0.1);
    expectClose(lamb.weights(0), [-0.1, 0.1], tolerance(1e-6), "from zero");
    expect([...lamb.weights(1)]).toEqual([3, 4]);
  });

  it("Lion and Rprop do not move weights without a gradient", () => {
    for (const type of ["lion", "rprop"] as const) {
      const still = run(type, type === "lion" ? { weight_decay: 0 } : {}, [[1, -2]]);
      still.setGradients([[0, 0]]);
      still.step(1, 0.1);
      expect([...still.weights(0)]).toEqual([1, -2]);
    }
  });

  it("Adafactor's relative step is at most 1/√t", () => {
    const fast = run("adafactor", {}, [[2, 2, 2]]);
    fast.setGradients([[1, 1, 1]]);
    fast.step(4, 10);
    expectClose(fast.weights(0), [1, 1, 1], 1e-6, "weights");
  });

  it("Adafactor takes the mean of the rows' moments to be at least eps[0]", () => {
    const member = withDefaults(optimizers.adafactor, { eps: [0.01, 1e-3], d: 2 });
    const small = new Optimizing(new Bench(), member, [{ shape: [2, 3], values: [1, 1, 1, 1, 1, 1] }]);
    small.setGradients([new Float32Array(6).fill(0.07)]);
    small.step(1, 0.01);
    // V = 0.0049 · 0.0049 / 0.01, so that u = 0.07/√V = 1/0.7.
    expectClose(small.weights(0), new Float64Array(6).fill(1 - 0.01 / 0.7), 1e-6, "weights");
  });

  it("Adafactor keeps a NaN within its element of a vector and spreads it over a matrix, as PyTorch does", () => {
    const withNaN = new Optimizing(new Bench(), withDefaults(optimizers.adafactor), [
      { shape: [4], values: [1, 2, 3, 4] },
      { shape: [2, 2], values: [1, 2, 3, 4] },
    ]);
    withNaN.setGradients([
      [1, NaN, -1, 1],
      [1, NaN, 1, 1],
    ]);
    for (const t of [1, 2]) {
      withNaN.step(t, 0.1);
      expect([...withNaN.weights(0)].map(Number.isFinite)).toEqual([true, false, true, true]);
      expect([...withNaN.weights(1)].every(Number.isNaN)).toBe(true);
    }
    expect(withNaN.weights(0)[0]).toBeLessThan(1);
    expect(withNaN.weights(0)[2]).toBeGreaterThan(3);
  });

  it("Adafactor's second moments of a matrix do not overflow under gradients of 1e12", () => {
    const member = withDefaults(optimizers.adafactor);
    const huge = new Optimizing(new Bench(), member, [{ shape: [2, 3], values: [1, 1, 1, 1, 1, 1] }]);
    huge.setGradients([new Float32Array(6).fill(1e12)]);
    huge.step(1, 0.01);
    expectClose(huge.weights(0), [0.99, 0.99, 0.99, 0.99, 0.99, 0.99], 1e-5, "weights");
  });
});
