import { describe, expect, it } from "vitest";
import type { LossType } from "../../../src/engine/losses/loss.ts";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { expectClose, goldenCases, tolerance, type GoldenTensor, type Spread } from "../../support/golden.ts";
import { classNames, runLoss } from "./run.ts";

interface LossCase {
  readonly id: string;
  readonly loss: string;
  readonly options: Record<string, number | GoldenTensor> & { readonly reduction: "mean" | "sum" | "none" };
  readonly input: GoldenTensor;
  readonly target: GoldenTensor;
  readonly upstream?: GoldenTensor;
  readonly expected: { readonly float64: { readonly value: GoldenTensor; readonly grad_input: GoldenTensor } };
  readonly float32_vs_float64: { readonly value: Spread; readonly grad_input: Spread };
}

const types = Object.fromEntries(Object.values(losses).map((type) => [type.source.replace("torch.nn.", ""), type]));

const cases = goldenCases<LossCase>("losses/losses.json").filter((golden) => golden.loss in types);

/** PyTorch's options as ours: lists for tensors, and classes by name instead of by index. */
function translate(
  type: LossType,
  given: Record<string, unknown>,
  classes: readonly string[],
): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(type.options)) options[name] = option.default;
  for (const [name, value] of Object.entries(given)) {
    const { data } = value as GoldenTensor;
    const kind = type.options[name]?.kind;
    if (name === "ignore_index") options.ignore_class = classes[value as number] ?? null;
    else if (kind === "numbers") options[name] = data;
    else if (kind === "class_numbers")
      options[name] = Object.fromEntries(data.map((weight, i) => [classes[i], weight]));
    else options[name] = value;
  }
  return options;
}

/**
 * From [N, C, positions] to [N · positions, C]: a row for each prediction. Of other shapes nothing
 * changes.
 */
function rows({ shape, data }: GoldenTensor): number[] {
  const [n, classes, positions = 1] = shape;
  const at = (i: number, c: number, p: number) => data[(i * classes + c) * positions + p];
  const count = (length: number) => Array.from({ length }, (_, i) => i);
  return count(n).flatMap((i) => count(positions).flatMap((p) => count(classes).map((c) => at(i, c, p))));
}

describe("losses give PyTorch's numbers", () => {
  it.each(Object.keys(types))("%s has cases", (name) => {
    expect(cases.filter(({ loss }) => loss === name).length).toBeGreaterThan(0);
  });

  it.each(cases)("$id", ({ loss, options, input, target, upstream, expected, float32_vs_float64 }) => {
    const type = types[loss];
    const outputs = input.shape[1];
    const { reduction } = options;
    const { divisor, terms, gradient } = runLoss(type, {
      options: translate(type, options, classNames(outputs)),
      prediction: rows(input),
      target: target.data,
      outputs,
      probabilities: type.targets === "class" && target.dtype === "float32",
      scale: reduction === "mean" ? "mean" : 1,
    });
    const sum = terms.reduce((total, term) => total + term, 0);
    const value = { mean: [sum / divisor], sum: [sum], none: terms }[reduction];
    const { value: wantedValue, grad_input } = expected.float64;
    expectClose(value, wantedValue.data, tolerance(2e-6, float32_vs_float64.value), "value");
    const perTerm = gradient.length / terms.length;
    const chained = Array.from(gradient, (g, i) => g * (upstream?.data[Math.floor(i / perTerm)] ?? 1));
    expectClose(chained, rows(grad_input), tolerance(2e-6, float32_vs_float64.grad_input), "gradient");
  });
});
