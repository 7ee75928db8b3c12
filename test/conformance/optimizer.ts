import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import type { OptimizerType } from "../../src/engine/optimizers/optimizer.ts";
import { Bench } from "../support/kernels.ts";
import { Optimizing } from "../support/optimizing.ts";
import { isTensor, tolerance, type GoldenCase, type GoldenTensor, type Spread } from "./golden.ts";
import { COUNTERS, STATE_NAMES, translate } from "./names.ts";
import { Unsupported, type Verdict } from "./verdict.ts";

export interface OptimizerCase extends GoldenCase {
  readonly library: string;
  readonly optimizer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly steps: number;
  readonly lr_per_step?: readonly number[];
  readonly params: readonly { readonly name: string; readonly initial: GoldenTensor; readonly grads: GoldenTensor }[];
  readonly expected: { readonly float64: Readonly<Record<string, ExpectedParameter>> };
  readonly float32_vs_float64: { readonly float32: { readonly params: Spread; readonly state: Spread | null } };
}

interface ExpectedParameter {
  readonly checkpoints: readonly number[];
  readonly values: GoldenTensor;
  readonly eval_values?: GoldenTensor;
  readonly state: Readonly<Record<string, GoldenTensor | number>>;
}

const FLOOR = 2e-6;

/** The weights at the checkpoints, and the whole state at the end. */
export function optimizer(golden: OptimizerCase, verdict: Verdict): void {
  const { params, steps, lr_per_step: rates } = golden;
  const member = translate(optimizers, golden.library, golden.optimizer, golden.options);
  const type = optimizers[member.type as keyof typeof optimizers] as unknown as OptimizerType;
  const run = new Optimizing(
    new Bench(1 << 22),
    type,
    member,
    params.map(({ initial }) => initial.data),
  );
  const limit = tolerance(FLOOR, golden.float32_vs_float64.float32.params);
  for (let t = 1; t <= steps; t++) {
    run.step(
      t,
      rates?.[t - 1] ?? (member.lr as number),
      params.map(({ initial, grads }) => row(grads, t - 1, initial.data.length)),
    );
    params.forEach(({ name, initial }, i) => {
      const { checkpoints, values, eval_values } = golden.expected.float64[name];
      const at = checkpoints.indexOf(t);
      if (at === -1) return;
      verdict.close(`${name} after step ${t}`, run.weights(i), row(values, at, initial.data.length), limit);
      if (eval_values === undefined) return;
      verdict.close(
        `${name} to evaluate after step ${t}`,
        run.evaluated(i),
        row(eval_values, at, initial.data.length),
        limit,
      );
    });
  }
  const stateLimit = tolerance(FLOOR, golden.float32_vs_float64.float32.state);
  params.forEach(({ name }, i) => checkState(run, i, name, golden.expected.float64[name].state, verdict, stateLimit));
}

function checkState(
  run: Optimizing,
  parameter: number,
  name: string,
  expected: ExpectedParameter["state"],
  verdict: Verdict,
  limit: number,
): void {
  for (const [theirs, value] of Object.entries(expected)) {
    const ours = STATE_NAMES[theirs] ?? theirs;
    if (COUNTERS.has(theirs)) continue;
    if (isTensor(value)) verdict.close(`${name} ${ours}`, run.state(parameter, ours), value.data, limit);
    else verdict.close(`${name} ${ours}`, [run.optimizer.scalars?.[ours] ?? NaN], [value], limit);
  }
}

export function row({ data }: GoldenTensor, index: number, length: number): readonly number[] {
  return data.slice(index * length, (index + 1) * length);
}

/** Optimizers that evaluate the objective themselves: none of ours does. */
export function optimizerClosure({ library, optimizer: name }: OptimizerCase): void {
  throw new Unsupported(`${library}.${name}`);
}
