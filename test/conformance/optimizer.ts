import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import type { Member } from "../../src/engine/settings.ts";
import { Bench } from "../support/kernels.ts";
import { size } from "../../src/engine/member/shape.ts";
import { Optimizing } from "../support/optimizing.ts";
import { isTensor, tolerance, type GoldenCase, type GoldenTensor, type Spread } from "./golden.ts";
import { stateName, translate } from "./names.ts";
import { objectives, type ObjectiveCase } from "./objectives.ts";
import type { Verdict } from "./verdict.ts";

export interface OptimizerCase extends GoldenCase {
  readonly library: string;
  readonly optimizer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly steps: number;
  readonly lr_per_step?: readonly number[];
  readonly params: readonly OptimizedParameter[];
  readonly expected: Readonly<Record<string, Readonly<Record<string, ExpectedParameter>>>>;
  readonly float32_vs_float64: Readonly<Record<string, { readonly params: Spread; readonly state: Spread | null }>>;
}

interface OptimizedParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initial: GoldenTensor;
  readonly grads?: GoldenTensor;
  /**
   * Instead of `grads`: for each step the rows that have one; a row may come twice, and its values
   * are added.
   */
  readonly sparse_grads?: readonly { readonly rows: readonly number[]; readonly values: GoldenTensor }[];
}

interface ExpectedParameter {
  readonly checkpoints: readonly number[];
  readonly values: GoldenTensor;
  readonly eval_values?: GoldenTensor;
  readonly state: Readonly<Record<string, GoldenTensor | number>>;
}

const FLOOR = 2e-6;

/**
 * The weights at the checkpoints, and the whole state at the end. Muon's cases hold the numbers of
 * its iteration in float32 besides those of PyTorch's, which is in bfloat16: we have both.
 */
export function optimizer(golden: OptimizerCase, verdict: Verdict): void {
  const member = translate(optimizers, golden.library, golden.optimizer, golden.options);
  compare(golden, member, "", verdict);
  if ("float64_ns_exact" in golden.expected)
    compare(golden, { ...member, ns_precision: "float32" }, "_ns_exact", verdict);
}

function compare(golden: OptimizerCase, member: Member, variant: string, verdict: Verdict): void {
  const { params, steps, lr_per_step: rates, library } = golden;
  const expected = golden.expected[`float64${variant}`];
  const spread = golden.float32_vs_float64[`float32${variant}`];
  const parameters = params.map(({ shape, initial }) => ({ shape, values: initial.data }));
  const run = new Optimizing(new Bench(1 << 22), member, parameters);
  const limit = tolerance(FLOOR, spread.params);
  for (let t = 1; t <= steps; t++) {
    run.setGradients(params.map((parameter) => gradientOf(parameter, t)));
    run.step(t, rates?.[t - 1] ?? run.configured.rate);
    params.forEach(({ name, initial }, i) => {
      const { checkpoints, values, eval_values: others } = expected[name];
      const at = checkpoints.indexOf(t);
      if (at === -1) return;
      const what = `${name}${variant} after step ${t}`;
      verdict.close(what, run.weights(i), row(values, at, initial.data.length), limit);
      if (others) verdict.close(`${what}, to evaluate`, run.evaluated(i), row(others, at, initial.data.length), limit);
    });
  }
  const stateLimit = tolerance(FLOOR, spread.state);
  params.forEach(({ name }, i) => {
    for (const [theirs, value] of Object.entries(expected[name].state)) {
      const ours = stateName(library, golden.optimizer, theirs);
      if (ours === null) continue;
      const actual = run.state(i).get(ours) ?? [run.optimizer.scalars?.[ours] ?? NaN];
      verdict.close(`${name}${variant} ${ours}`, actual, isTensor(value) ? value.data : [value], stateLimit);
    }
  });
}

/** The gradient of step t, from 1. */
export function gradientOf({ shape, grads, sparse_grads: sparse }: OptimizedParameter, t: number): readonly number[] {
  if (grads) return row(grads, t - 1, size(shape));
  const dense = new Float64Array(size(shape));
  const { rows, values } = sparse![t - 1];
  const width = size(shape) / shape[0];
  rows.forEach((to, i) => row(values, i, width).forEach((value, j) => (dense[to * width + j] += value)));
  return [...dense];
}

function row({ data }: GoldenTensor, index: number, length: number): readonly number[] {
  return data.slice(index * length, (index + 1) * length);
}

/**
 * For optimizers that evaluate the objective themselves. A search's choices hang on the last digits
 * of what it sees: with weights rounded to float32 and all else in double, the case of Rosenbrock's
 * function under the Wolfe conditions already comes out 1e-5 away.
 */
const CLOSURE_FLOOR = 1e-5;

/** The loss before each step, and the weights after it. */
export function optimizerClosure(golden: ObjectiveCase, verdict: Verdict): void {
  const { initial, expected, step_calls: steps } = golden;
  const member = translate(optimizers, golden.library, golden.optimizer, golden.options);
  const run = new Optimizing(new Bench(), member, [{ shape: initial.shape, values: initial.data }]);
  const objective = objectives[golden.objective.name](golden.objective);
  const limit = tolerance(CLOSURE_FLOOR, golden.float32_vs_float64.float32.params);
  const { loss_before_each_step: losses, params_after_each_step: weights } = expected.float64;
  const seen: number[] = [];
  for (let t = 1; t <= steps; t++) {
    let first = true;
    run.search(t, run.configured.rate, () => {
      const { loss, gradient } = objective([...run.weights(0)]);
      run.setGradients([gradient]);
      if (first) seen.push(loss);
      first = false;
      return loss;
    });
    verdict.close(`weights after step ${t}`, run.weights(0), row(weights, t - 1, initial.data.length), limit);
  }
  verdict.close("loss before each step", seen, losses.data, limit);
}
