import { describe, expect, it, test } from "vitest";
import { LossFault } from "../../../src/engine/losses/loss.ts";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { expectClose, goldenCases } from "../../support/golden.ts";
import { settingsOf } from "../../support/tries.ts";
import { everySample, fround, numbers, runLoss, UNTOUCHED, type LossInput } from "./run.ts";

interface Reference {
  term(x: number, y: number, options: object): number;
  derivative(x: number, y: number, options: object): number;
  /** Least and greatest prediction that makes sense. Default: any. */
  domain?(options: object): readonly [number, number];
}

/**
 * Each of the registry, with its defaults and with every option changed; each needs a
 * `reference.ts`.
 */
const elementwise = (
  await Promise.all(
    Object.values(losses)
      .filter(({ elementwise }) => elementwise)
      .map(async (type) => {
        const reference = (await import(`../../../src/engine/losses/${type.type}/reference.ts`)) as Reference;
        return settingsOf(type).map(({ type: name, ...options }) => ({ name, type, reference, options }));
      }),
  )
).flat();

/**
 * The options as one output has them: of a list its own number, or the only one; 1 where there is
 * none.
 */
function perOutput(options: object, output: number): object {
  const own = (value: unknown) => (Array.isArray(value) ? value[value.length === 1 ? 0 : output] : (value ?? 1));
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, own(value)]));
}

test("every loss has golden cases of PyTorch's", () => {
  const cases = new Set(goldenCases<{ loss: string }>("losses/losses.json").map(({ loss }) => `torch.nn.${loss}`));
  expect(Object.values(losses).filter(({ source }) => !cases.has(source))).toEqual([]);
});

describe.each(elementwise)("$name $options", ({ type, reference, options }) => {
  const outputs = 5;
  const extremes = [0, 0, 0.75, -0.75, 1e-20, 100, -100, 88, -104, 1e-45];
  const [least, most] = reference.domain?.(options) ?? [-Infinity, Infinity];
  const [low, high] = reference.domain?.(options) ?? [-10, 10];
  const sensible = extremes.map((x) => Math.min(Math.max(x, least), most));
  const prediction = fround([...sensible, ...sensible, ...numbers(2000).map((u) => low + u * (high - low))]);
  const target = [...extremes.map(() => 0), ...extremes.map(() => 1), ...numbers(2000, 2).map((u) => Math.round(u))];
  const input: LossInput = { options, prediction, target, outputs };

  it("agrees with its reference", () => {
    const { terms, gradient, divisor } = runLoss(type, { ...input, scale: 0.125 });
    const of = (part: "term" | "derivative") =>
      prediction.map((x, i) => reference[part](x, target[i], perOutput(options, i % outputs)));
    expectClose(terms, of("term"), 5e-7, "term");
    expectClose(
      gradient,
      of("derivative").map((slope) => slope / 8),
      5e-7,
      "gradient",
    );
    expect(divisor).toBe(prediction.length);
  });

  it("gives the same bits however the samples are cut", () => {
    const slabs = everySample(prediction.length / outputs);
    expect(runLoss(type, { ...input, slabs }).bits).toEqual(runLoss(type, input).bits);
  });

  it("touches no other samples", () => {
    const { terms, gradient } = runLoss(type, { ...input, slabs: [7, 12] });
    for (const values of [terms, gradient]) {
      expect(values.slice(35, 60)).not.toContain(UNTOUCHED);
      expect([...values.slice(0, 35), ...values.slice(60)].every((value) => value === UNTOUCHED)).toBe(true);
    }
  });

  it("computes no gradient if none is wanted", () => {
    const { terms, gradient } = runLoss(type, { ...input, scale: 0 });
    expect(terms).toEqual(runLoss(type, input).terms);
    expect(gradient.every((g) => g === UNTOUCHED)).toBe(true);
  });

  it("passes NaN on", () => {
    const { terms, gradient } = runLoss(type, {
      options,
      prediction: [NaN, NaN, NaN, NaN, NaN],
      target: [0, 1, 0, 1, 0],
      outputs,
    });
    expect([...terms, ...gradient].every(Number.isNaN)).toBe(true);
  });
});

describe("bce_with_logits", () => {
  const { check } = losses.bce_with_logits;

  it("takes one weight, or one for each output", () => {
    expect(() => check!({ pos_weight: [2], weight: [1, 2, 3] }, 3)).not.toThrow();
    expect(() => check!({ pos_weight: [1, 2], weight: null }, 3)).toThrow(LossFault);
  });

  it.each(["weight", "pos_weight"])("a %s of the last dimension goes for all before it", (option) => {
    const { terms } = runLoss(losses.bce_with_logits, {
      options: { pos_weight: null, weight: null, [option]: [1, 2, 3] },
      prediction: [0, 0, 0, 0, 0, 0],
      target: [1, 1, 1, 1, 1, 1],
      outputs: 6,
    });
    const once = Math.fround(Math.log(2));
    expect([...terms].map((term) => term / once)).toEqual([1, 2, 3, 1, 2, 3].map((times) => expect.closeTo(times, 6)));
  });

  it("keeps the precision of small losses", () => {
    const { terms } = runLoss(losses.bce_with_logits, {
      options: { pos_weight: null, weight: null },
      prediction: [-5, -50, -100, 5, 50, 100],
      target: [0, 0, 0, 1, 1, 1],
      outputs: 1,
    });
    [-5, -50, -100, 5, 50, 100].forEach((x, i) => {
      expect(Math.abs(terms[i] / Math.fround(Math.log1p(Math.exp(-Math.abs(x)))) - 1)).toBeLessThan(5e-7);
    });
  });
});
