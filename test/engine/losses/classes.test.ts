import { describe, expect, it } from "vitest";
import { crossEntropy } from "../../../src/engine/losses/cross_entropy/reference.ts";
import { rowLoss as multiMargin } from "../../../src/engine/losses/multi_margin/reference.ts";
import { rowLoss as nll } from "../../../src/engine/losses/nll/reference.ts";
import { LossFault } from "../../../src/engine/losses/loss.ts";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { expectClose } from "../../support/golden.ts";
import { everySample, fround, numbers, runLoss, UNTOUCHED, type LossInput } from "./run.ts";

describe("cross_entropy", () => {
  const type = losses.cross_entropy;
  const plain = { label_smoothing: 0, weight: null, ignore_class: null };
  const samples = 23;

  /**
   * Logits with some extreme ones, class weights, and targets of both kinds, for so many classes.
   */
  function problem(classes: number) {
    const logits = fround(
      numbers(samples * classes, classes).map((u, i) => (i % 41 === 0 ? (u < 0.5 ? -100 : 100) : (u - 0.5) * 12)),
    );
    const weights = fround(numbers(classes, 7).map((u) => 0.25 + u * 3));
    const classOf = numbers(samples, 5).map((u) => Math.floor(u * classes));
    const probabilities = fround(numbers(samples * classes, 11).map((u) => (2 * u) / classes));
    return {
      logits,
      weights,
      classOf,
      probabilities,
      named: Object.fromEntries(weights.map((weight, c) => [String(c), weight])),
    };
  }

  /** The reference's answer for every sample. */
  function expected(classes: number, smoothing: number, targets: (sample: number, c: number) => number) {
    const { logits, weights } = problem(classes);
    const row = (sample: number) => logits.slice(sample * classes, (sample + 1) * classes);
    const results = Array.from({ length: samples }, (_, sample) =>
      crossEntropy(
        row(sample),
        weights.map((_, c) => targets(sample, c)),
        weights,
        smoothing,
      ),
    );
    return { terms: results.map(({ term }) => term), gradient: results.flatMap(({ gradient }) => gradient) };
  }

  describe.each([1, 2, 3, 4, 5, 10, 255, 256, 257, 1000])("with %i classes", (classes) => {
    const { logits, classOf, probabilities, named } = problem(classes);

    it.each([0, 0.1, 1])("agrees with its reference over class indices, label_smoothing %f", (label_smoothing) => {
      const options = { ...plain, weight: named, label_smoothing };
      const actual = runLoss(type, { options, prediction: logits, target: classOf, outputs: classes });
      const wanted = expected(classes, label_smoothing, (sample, c) => Number(classOf[sample] === c));
      expectClose(actual.terms, wanted.terms, 1e-6, "term");
      expectClose(actual.gradient, wanted.gradient, 1e-6, "gradient");
    });

    it.each([0, 0.1])("agrees with its reference over probabilities, label_smoothing %f", (label_smoothing) => {
      const options = { ...plain, weight: named, label_smoothing };
      const actual = runLoss(type, {
        options,
        prediction: logits,
        target: probabilities,
        outputs: classes,
        probabilities: true,
      });
      const wanted = expected(classes, label_smoothing, (sample, c) => probabilities[sample * classes + c]);
      expectClose(actual.terms, wanted.terms, 1e-6, "term");
      expectClose(actual.gradient, wanted.gradient, 1e-6, "gradient");
      expect(actual.divisor).toBe(samples);
    });

    it("gives the same bits however the samples are cut", () => {
      const input = {
        options: { ...plain, label_smoothing: 0.1 },
        prediction: logits,
        target: classOf,
        outputs: classes,
      };
      expect(runLoss(type, { ...input, slabs: everySample(samples) }).bits).toEqual(runLoss(type, input).bits);
    });

    it("touches no other samples", () => {
      const { terms, gradient } = runLoss(type, {
        options: plain,
        prediction: logits,
        target: classOf,
        outputs: classes,
        slabs: [7, 12],
      });
      const outside = [
        terms.slice(0, 7),
        terms.slice(12),
        gradient.slice(0, 7 * classes),
        gradient.slice(12 * classes),
      ];
      expect(outside.every((values) => values.every((value) => value === UNTOUCHED))).toBe(true);
    });
  });

  it("sums over classes in the order it documents", () => {
    // e^z is 1 once and 2^-25 otherwise: too small to be added to 1 in float32. So what shares the
    // lane of the 1 in its block of 256 is lost, and nothing else.
    const classes = 512;
    const prediction = Array.from({ length: classes }, (_, c) => (c === 0 ? 0 : -25 * Math.LN2));
    const { terms } = runLoss(type, { options: plain, prediction, target: [0], outputs: classes });
    expect(terms[0]).toBeCloseTo(Math.log1p((511 - 63) * 2 ** -25), 8);
  });

  it("leaves out samples of the ignored class and of no class", () => {
    const prediction = fround(numbers(15).map((u) => u * 4));
    const options = { label_smoothing: 0.1, weight: { 0: 2, 2: 5 }, ignore_class: "2" };
    const { terms, gradient, divisor } = runLoss(type, { options, prediction, target: [0, 2, -100, 1, 3], outputs: 3 });
    expect(divisor).toBe(3);
    expect([terms[1], terms[2], terms[4]]).toEqual([0, 0, 0]);
    expect([...gradient.slice(3, 9), ...gradient.slice(12)].every((g) => g === 0)).toBe(true);
    expect(terms[0]).toBeGreaterThan(0);
    expect(terms[3]).toBeGreaterThan(0);
  });

  it("has loss 0 if all samples are ignored", () => {
    const input = {
      options: { ...plain, ignore_class: "1" },
      prediction: [1, 2, 3, 4],
      target: [1, 1],
      outputs: 2,
      scale: "mean" as const,
    };
    const { terms, gradient, divisor } = runLoss(type, input);
    expect([...terms, ...gradient]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(divisor).toBe(0);
  });

  it("computes no gradient if none is wanted", () => {
    const input = { options: plain, prediction: [1, 2, 3, 4], target: [0, -1], outputs: 2 };
    const { terms, gradient } = runLoss(type, { ...input, scale: 0 });
    expect(terms).toEqual(runLoss(type, input).terms);
    expect(gradient.every((g) => g === UNTOUCHED)).toBe(true);
  });

  it("turns NaN and infinite logits into NaN", () => {
    for (const bad of [NaN, Infinity]) {
      for (const at of [0, 1, 4]) {
        const prediction = [1, 2, 3, 4, 5];
        prediction[at] = bad;
        const { terms, gradient } = runLoss(type, { options: plain, prediction, target: [2], outputs: 5 });
        expect([...terms, ...gradient].some(Number.isNaN)).toBe(true);
        expect(terms[0]).toBeNaN();
      }
    }
  });

  it("needs a target with classes, and names of these classes", () => {
    expect(() => type.prediction({ classes: null, shape: [] })).toThrow(LossFault);
    const input = { prediction: [1, 2], target: [0], outputs: 2 };
    expect(() => runLoss(type, { ...input, options: { ...plain, ignore_class: "cat" } })).toThrow(RangeError);
    expect(() => runLoss(type, { ...input, options: { ...plain, weight: { cat: 2 } } })).toThrow(RangeError);
  });
});

/** Losses over classes with a term for each row, and what their references give for a row. */
const classLosses = [
  { type: losses.nll, options: { ignore_class: null }, reference: nll },
  ...[1, 2].map((p) => {
    const options = { p, margin: 1.25 };
    const reference = (x: readonly number[], target: number, w: readonly number[]) =>
      multiMargin(x, target, w, options);
    return { type: losses.multi_margin, options, reference };
  }),
];

describe.each(classLosses)("$type.type $options", ({ type, options, reference }) => {
  const samples = 23;

  describe.each([1, 2, 3, 4, 5, 257, 1000])("with %i classes", (classes) => {
    const outputs = fround(numbers(samples * classes, classes).map((u) => (u - 0.5) * 6));
    const weights = fround(numbers(classes, 7).map((u) => 0.25 + u * 3));
    const targets = numbers(samples, 5).map((u) => Math.floor(u * classes));
    const weight = Object.fromEntries(weights.map((value, c) => [String(c), value]));
    const input: LossInput = {
      options: { ...options, weight },
      prediction: outputs,
      target: targets,
      outputs: classes,
    };

    it("agrees with its reference", () => {
      const { terms, gradient } = runLoss(type, input);
      const wanted = targets.map((target, i) =>
        reference(outputs.slice(i * classes, (i + 1) * classes), target, weights),
      );
      const [term, slopes] = [wanted.map((row) => row.term), wanted.flatMap((row) => row.gradient)];
      expectClose(terms, term, 1e-6, "term");
      expectClose(gradient, slopes, 1e-6, "gradient");
    });

    it("gives the same bits however the samples are cut, and touches no others", () => {
      expect(runLoss(type, { ...input, slabs: everySample(samples) }).bits).toEqual(runLoss(type, input).bits);
      const { terms, gradient } = runLoss(type, { ...input, slabs: [7, 12] });
      const outside = [
        terms.slice(0, 7),
        terms.slice(12),
        gradient.slice(0, 7 * classes),
        gradient.slice(12 * classes),
      ];
      expect(outside.every((values) => values.every((value) => value === UNTOUCHED))).toBe(true);
    });
  });

  it("leaves out targets that are no class", () => {
    const input = { options: { ...options, weight: null }, prediction: [1, 2, 3, 4, 5, 6, 7, 8, 9], outputs: 3 };
    const { terms, gradient, divisor } = runLoss(type, { ...input, target: [0, -100, 3] });
    expect(divisor).toBe(1);
    expect([...terms.slice(1), ...gradient.slice(3)].every((value) => value === 0)).toBe(true);
    expect(terms[0]).not.toBe(0);
  });

  it("computes no gradient where none is wanted", () => {
    const input = { options: { ...options, weight: null }, prediction: [1, 2, 3, 4], target: [0, -1], outputs: 2 };
    const { terms, gradient } = runLoss(type, { ...input, scale: 0 });
    expect(terms).toEqual(runLoss(type, input).terms);
    expect(gradient.every((g) => g === UNTOUCHED)).toBe(true);
  });

  it("hands NaN on", () => {
    const unweighted = { ...options, weight: null };
    const { terms } = runLoss(type, { options: unweighted, prediction: [1, 2, NaN, 4, 5], target: [2], outputs: 5 });
    expect(terms[0]).toBeNaN();
  });
});

it("nll divides by the weights of the classes that count", () => {
  const options = { weight: { 0: 2, 1: 3, 2: 5 }, ignore_class: "2" };
  const prediction = numbers(12).map((u) => -u);
  expect(runLoss(losses.nll, { options, prediction, target: [0, 1, 2, 0], outputs: 3 }).divisor).toBe(7);
});

it("multi_margin divides by the number of targets, whatever they weigh", () => {
  const options = { p: 1, margin: 1, weight: { 0: 2, 1: 3 } };
  expect(runLoss(losses.multi_margin, { options, prediction: [1, 2, 3, 4], target: [0, 1], outputs: 2 }).divisor).toBe(
    2,
  );
});

it("poisson_nll adds Stirling's approximation above 1", async () => {
  const { term } = await import("../../../src/engine/losses/poisson_nll/reference.ts");
  const counts = [0, 1, 2, 3, 17, 1000];
  for (const log_input of [true, false]) {
    const options = { log_input, full: true, eps: 1e-8 };
    const { terms } = runLoss(losses.poisson_nll, {
      options,
      prediction: counts.map(() => 1.5),
      target: counts,
      outputs: 1,
    });
    expectClose(
      terms,
      counts.map((y) => term(1.5, y, options)),
      5e-7,
      "term",
    );
  }
});

it("hinge_embedding tells 1 from −1", async () => {
  const { term, derivative } = await import("../../../src/engine/losses/hinge_embedding/reference.ts");
  const [x, y] = [
    [0.5, 0.5, 1.25, 1.25, 1, 1],
    [1, -1, 1, -1, 1, -1],
  ];
  const options = { margin: 1 };
  const { terms, gradient } = runLoss(losses.hinge_embedding, { options, prediction: x, target: y, outputs: 1 });
  expect([...terms]).toEqual(x.map((value, i) => term(value, y[i], options)));
  expect([...gradient].map((g) => g + 0)).toEqual(x.map((value, i) => derivative(value, y[i], options) + 0));
});
