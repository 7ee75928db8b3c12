import { describe, expect, it } from "vitest";
import { strongWolfe, type Trial } from "../../../src/engine/optimizers/lbfgs/line-search.ts";
import { optimizers } from "../../../src/engine/optimizers/registry.generated.ts";
import { withDefaults } from "../../../src/engine/member/options.ts";
import type { PlanError } from "../../../src/engine/plan/faults.ts";
import { shapeModel, type PlanInput } from "../../../src/engine/plan/shapes.ts";
import { rosenbrock } from "../../conformance/objectives.ts";
import { Bench } from "../../support/kernels.ts";
import { Optimizing } from "../../support/optimizing.ts";
import { member } from "../../support/training.ts";
import { inputOf } from "../../support/training.ts";

/**
 * L-BFGS, and the search along a line that it makes. What PyTorch's gives is held by the golden
 * cases.
 */

type Curve = (step: number) => { loss: number; slope: number };

function search(curve: Curve, first: number): { found: Trial; tried: number[] } {
  const tried: number[] = [];
  const line = strongWolfe({ step: 0, ...curve(0) }, first, 1);
  let next = line.next();
  while (!next.done) {
    tried.push(next.value);
    next = line.next({ step: next.value, ...curve(next.value) });
  }
  return { found: next.value, tried };
}

describe("the search along a line", () => {
  const parabola: Curve = (t) => ({ loss: (t - 3) ** 2, slope: 2 * (t - 3) });
  const steep: Curve = (t) => ({ loss: t ** 4 - 20 * t, slope: 4 * t ** 3 - 20 });
  const wavy: Curve = (t) => ({ loss: Math.cos(3 * t) - 0.1 * t, slope: -3 * Math.sin(3 * t) - 0.1 });

  it.each<[string, Curve, number]>([
    ["a parabola from far too short a step", parabola, 1e-4],
    ["a parabola from too long a step", parabola, 50],
    ["a quartic", steep, 20],
    ["waves", (t) => wavy(t + 0.2), 2],
  ])("ends where the loss has fallen and is nearly flat: %s", (_what, curve, first) => {
    const start = curve(0);
    const { found, tried } = search(curve, first);
    expect(found.loss).toBeLessThanOrEqual(start.loss + 1e-4 * found.step * start.slope);
    expect(Math.abs(found.slope)).toBeLessThanOrEqual(0.9 * Math.abs(start.slope));
    expect(tried.length).toBeLessThan(12);
  });

  it("gives up after 25 trials, with the best point it has", () => {
    const { found, tried } = search((t) => ({ loss: -t, slope: -1 }), 1);
    expect(tried).toHaveLength(26);
    expect(found.loss).toBe(Math.min(...tried.map((t) => -t)));
  });

  it("compares a trial with the one before only from the third on, as PyTorch does", () => {
    const line = strongWolfe({ step: 0, loss: 1, slope: -1 }, 1, 1);
    line.next();
    const second = line.next({ step: 1, loss: 0.5, slope: -0.95 }).value as number;
    const third = line.next({ step: second, loss: 0.6, slope: -0.95 }).value as number;
    expect(third).toBeGreaterThan(second);
    const fourth = line.next({ step: third, loss: 0.7, slope: -0.95 }).value as number;
    expect(fourth).toBeLessThan(third);
  });

  it("stays at the start if nothing else is better", () => {
    const { found } = search((t) => (t === 0 ? { loss: 0, slope: -1 } : { loss: 1, slope: 5 }), 1);
    expect(found.step).toBe(0);
  });
});

describe("the arithmetic of vectors", () => {
  const numbers = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 7.3 + seed));
  const product = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);

  it.each([1, 3, 4, 29, 1000])("equals the plain loop over %i elements", (n) => {
    const bench = new Bench();
    const { kernels } = bench;
    const vectors = [1, 2, 3].map((seed) => numbers(n, seed));
    const [x, y, z] = vectors;
    const [atX, atY, atZ] = vectors.map((vector) => bench.floats(vector));
    const change = y.map((value, i) => value - x[i]);
    expect(kernels.lbfgs_dot(atX, atY, n)).toBeCloseTo(product(x, y), 10);
    expect(kernels.lbfgs_change_dot(atY, atX, atZ, n)).toBeCloseTo(product(change, z), 10);
    expect(kernels.lbfgs_change_square(atY, atX, n)).toBeCloseTo(product(change, change), 10);
    kernels.lbfgs_add(atZ, atX, atY, n, -1.5);
    bench.read(atZ, n).forEach((value, i) => expect(value).toBeCloseTo(x[i] - 1.5 * y[i], 6));
    kernels.lbfgs_scale(atZ, atX, n, -1.5);
    bench.read(atZ, n).forEach((value, i) => expect(value).toBeCloseTo(-1.5 * x[i], 6));
  });
});

describe("L-BFGS", () => {
  const minimise = (options: Record<string, unknown>, steps: number, start = [-1.2, 1]) => {
    const run = new Optimizing(new Bench(), withDefaults(optimizers.lbfgs, options), [{ shape: [2], values: start }]);
    let evaluations = 0;
    for (let t = 1; t <= steps; t++) {
      run.search(t, run.configured.rate, () => {
        const { loss, gradient } = rosenbrock([...run.weights(0)]);
        run.setGradients([gradient]);
        evaluations++;
        return loss;
      });
    }
    return { weights: [...run.weights(0)], evaluations, run };
  };

  it("finds the minimum of Rosenbrock's function", () => {
    const { weights } = minimise({ line_search_fn: "strong_wolfe" }, 3);
    expect(weights[0]).toBeCloseTo(1, 4);
    expect(weights[1]).toBeCloseTo(1, 4);
  });

  it("finds it with a short history too, which forgets its oldest pairs", () => {
    const { weights, run } = minimise({ line_search_fn: "strong_wolfe", history_size: 2 }, 6);
    expect(weights[0]).toBeCloseTo(1, 3);
    expect(run.optimizer.scalars).toMatchObject({ stored: 2 });
  });

  it("ends a step after max_iter iterations or max_eval evaluations, whichever comes first", () => {
    expect(minimise({ lr: 1e-3, max_iter: 7 }, 1).evaluations).toBe(7);
    expect(minimise({ lr: 1e-3, max_iter: 7, max_eval: 3 }, 1).evaluations).toBe(3);
  });

  it("does nothing if the gradient is nearly 0", () => {
    const { weights, evaluations } = minimise({ lr: 1 }, 2, [1, 1]);
    expect({ weights, evaluations }).toEqual({ weights: [1, 1], evaluations: 2 });
  });
});

describe("a job under L-BFGS", () => {
  const input: PlanInput = {
    model: { layers: [member("layers", "dropout", { p: 0.2 }), member("layers", "linear")] },
    loss: member("losses", "mse"),
    optimizer: withDefaults(optimizers.lbfgs),
    inputs: [inputOf(3)],
    target: { classes: null, shape: [] },
    batchRows: 32,
    smallestBatch: 1,
    trainRows: 100,
    evaluatedRows: 0,
    threads: 1,
    keepBest: false,
  };
  const faults = (changes: Partial<PlanInput>) => {
    try {
      shapeModel({ ...input, ...changes });
      return [];
    } catch (error) {
      return (error as PlanError).faults.map(({ pointer }) => pointer);
    }
  };

  it("must have full batches and nothing random", () => {
    expect(faults({})).toEqual(["/training/batch_size", "/model/layers/0"]);
    expect(faults({ batchRows: 100, model: { layers: [member("layers", "linear")] } })).toEqual([]);
    const harmless = [member("layers", "dropout", { p: 0 }), member("layers", "linear")];
    expect(faults({ batchRows: 100, model: { layers: harmless } })).toEqual([]);
    const whole = { batchRows: 100, model: { layers: harmless } };
    const training = { gradient_accumulation_steps: 2, gradient_noise: { eta: 1, gamma: 1 } };
    expect(faults({ ...whole, training })).toEqual([
      "/training/gradient_accumulation_steps",
      "/training/gradient_noise",
    ]);
    expect(faults({ optimizer: withDefaults(optimizers.adam), training })).toEqual([]);
  });
});
