import type { GoldenCase, GoldenTensor, Spread } from "./golden.ts";

/** A case of an optimizer that is given a function instead of gradients. */
export interface ObjectiveCase extends GoldenCase {
  readonly library: string;
  readonly optimizer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly objective: { readonly name: string; readonly A?: GoldenTensor; readonly b?: GoldenTensor };
  readonly initial: GoldenTensor;
  readonly step_calls: number;
  readonly expected: {
    readonly float64: {
      readonly loss_before_each_step: GoldenTensor;
      readonly params_after_each_step: GoldenTensor;
      readonly total_iterations: number;
      readonly function_evaluations: number;
    };
  };
  readonly float32_vs_float64: { readonly float32: { readonly params: Spread } };
}

interface Evaluated {
  readonly loss: number;
  readonly gradient: readonly number[];
}

type Objective = (x: readonly number[]) => Evaluated;

/** The functions of the cases by name, in double. */
export const objectives: Readonly<Record<string, (given: ObjectiveCase["objective"]) => Objective>> = {
  rosenbrock: () => rosenbrock,
  quadratic: ({ A, b }) => quadratic(A!.data, b!.data),
};

/** (1 − x₀)² + 100 (x₁ − x₀²)² */
export function rosenbrock([x, y]: readonly number[]): Evaluated {
  const bend = y - x * x;
  return { loss: (1 - x) ** 2 + 100 * bend * bend, gradient: [2 * (x - 1) - 400 * x * bend, 200 * bend] };
}

/** ½ xᵀAx − bᵀx */
function quadratic(a: readonly number[], b: readonly number[]): Objective {
  return (x) => {
    const product = x.map((_, i) => x.reduce((sum, value, j) => sum + a[i * x.length + j] * value, 0));
    const loss = x.reduce((sum, value, i) => sum + value * (0.5 * product[i] - b[i]), 0);
    return { loss, gradient: product.map((value, i) => value - b[i]) };
  };
}
