import { describe, expect, test } from "vitest";
import { losses } from "../../../src/engine/losses/registry.generated.ts";
import { computeMetrics, metricsUnder, whyUndefined } from "../../../src/engine/metrics/metrics.ts";
import { reportOf } from "../../../src/engine/metrics/report.ts";
import { EvaluatedRows } from "../../../src/engine/metrics/rows.ts";
import { MAX_SCORES, scoresPerRow } from "../../../src/engine/metrics/scores.ts";

interface Row {
  readonly target: number;
  readonly decided?: number;
  readonly scores?: readonly number[];
  readonly logLoss?: number;
  readonly weight?: number | undefined;
}

/** The metrics of rows of classes, by their own names. */
function metrics(classes: number, rows: readonly Row[]): Record<string, number> {
  const columns = {
    loss: rows.map(() => 1),
    divisor: rows.map(() => 1),
    target: rows.map(({ target }) => target),
    prediction: rows.map(({ decided = 0 }) => decided),
    log_loss: rows.map(({ logLoss = 0 }) => logLoss),
  };
  const scores = Float32Array.from(rows.flatMap((row) => row.scores ?? []));
  const read = (what: keyof typeof columns) => Float64Array.from(columns[what]);
  const isWeighted = rows.some(({ weight }) => weight !== undefined);
  const weights = isWeighted ? Float64Array.from(rows, ({ weight }) => weight!) : undefined;
  const found = computeMetrics(
    new EvaluatedRows({ classes, columns: 1, std: [1], scores, weights, read, exp: Math.exp }),
    { targets: "class" },
    "valid",
  );
  return Object.fromEntries(Object.entries(found).map(([name, value]) => [name.slice("valid_".length), value]));
}

function randomBelow(state: number): (below: number) => number {
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe("precision and recall", () => {
  test("are scikit-learn's macro means, in the example of its documentation", () => {
    const decided = [0, 2, 1, 0, 0, 1];
    const rows = [0, 1, 2, 0, 1, 2].map((target, i) => ({ target, decided: decided[i] }));
    const { precision, recall, macro_f1 } = metrics(3, rows);
    expect(precision).toBeCloseTo(0.2222222222, 9);
    expect(recall).toBeCloseTo(0.3333333333, 9);
    expect(macro_f1).toBeCloseTo(0.2666666667, 9);
  });

  test("count a division by 0 as 0, and leave out a class that does not occur", () => {
    // Class 0 is there and never predicted, class 1 is predicted and never there, class 2 neither.
    const rows = [
      { target: 0, decided: 1 },
      { target: 3, decided: 3 },
    ];
    expect(metrics(4, rows)).toMatchObject({ precision: 1 / 3, recall: 1 / 3 });
  });
});

describe("the area under the ROC curve", () => {
  test("is scikit-learn's, in the example of its documentation", () => {
    const scores = [0.1, 0.4, 0.35, 0.8];
    expect(
      metrics(
        2,
        scores.map((score, i) => ({ target: Number(i > 1), scores: [score] })),
      ).auc,
    ).toBe(0.75);
  });

  test("is the share of pairs in order (ties count half), for any number of classes", () => {
    const random = randomBelow(7);
    // Few rows are sorted in another way than many.
    for (const length of [60, 300]) {
      for (const classes of [2, 3, 5]) {
        for (const values of [1, 3, 1000]) {
          const perRow = classes === 2 ? 1 : classes;
          const rows = Array.from({ length }, () => ({
            target: random(classes),
            scores: Array.from({ length: perRow }, () => random(values) - values / 2),
          }));
          expect(metrics(classes, rows).auc).toBeCloseTo(byPairs(classes, rows), 12);
        }
      }
    }
  });

  test("is the mean over the classes that occur, and undefined if that is one class or a score is not a number", () => {
    const row = (target: number, ...scores: number[]) => ({ target, scores });
    expect(metrics(3, [row(0, 2, 0, 9), row(0, 1, 0, 9), row(1, 1, 1, 9)]).auc).toBe((0.75 + 1) / 2);
    expect(metrics(2, [row(1, 3), row(1, 4)]).auc).toBeNaN();
    expect(metrics(2, [row(0, 3), row(1, NaN)]).auc).toBeNaN();
    expect(metrics(2, [row(0, NaN), row(1, 3)]).auc).toBeNaN();
    expect(metrics(2, [row(0, -Infinity), row(1, Infinity)]).auc).toBe(1);
    expect(metrics(2, [row(0, -0), row(1, 0)]).auc).toBe(0.5);
  });

  test("is not computed for more than a certain number of scores", () => {
    expect(scoresPerRow(2, MAX_SCORES)).toBe(1);
    expect(scoresPerRow(2, MAX_SCORES + 1)).toBe(0);
    expect(scoresPerRow(1000, 4194)).toBe(1000);
    expect(scoresPerRow(1000, 4195)).toBe(0);
    expect(metrics(2, [{ target: 0 }, { target: 1 }])).toMatchObject({ accuracy: 0.5, auc: NaN });
  });
});

/** Every pair of rows looked at. */
function byPairs(classes: number, rows: readonly Required<Pick<Row, "target" | "scores">>[]): number {
  const area = (wanted: number, column: number) => {
    let sum = 0;
    let pairs = 0;
    for (const a of rows) {
      for (const b of rows) {
        if (a.target !== wanted || b.target === wanted) continue;
        pairs++;
        if (a.scores[column] > b.scores[column]) sum++;
        else if (a.scores[column] === b.scores[column]) sum += 0.5;
      }
    }
    return sum / pairs;
  };
  if (classes === 2) return area(1, 0);
  const areas = Array.from({ length: classes }, (_, i) => area(i, i)).filter((value) => !Number.isNaN(value));
  return areas.reduce((sum, value) => sum + value, 0) / areas.length;
}

test("with a target between two classes all metrics that need a class are undefined", () => {
  expect(
    metrics(2, [
      { target: 0.3, scores: [1] },
      { target: 1, decided: 1, scores: [2] },
    ]),
  ).toMatchObject({ accuracy: NaN, macro_f1: NaN, precision: NaN, recall: NaN, auc: NaN, log_loss: 0 });
});

describe("perplexity", () => {
  test("is e to the power of the mean log loss, so a uniform guess among n classes has n", () => {
    const rows = [
      { target: 0, logLoss: Math.log(2) },
      { target: 1, logLoss: Math.log(8) },
    ];
    expect(metrics(3, rows).perplexity).toBeCloseTo(4, 12);
    expect(metrics(3, [{ target: 0, logLoss: Infinity }]).perplexity).toBe(Infinity);
  });
});

describe("accuracy among five", () => {
  /** One row of six or more classes with these scores. */
  const of = (target: number, ...scores: number[]) => metrics(scores.length, [{ target, scores }]).top5_accuracy;

  test("counts the rows whose class is among the five highest scores", () => {
    const scores = [6, 5, 4, 3, 2, 1];
    expect(
      metrics(
        6,
        [0, 4, 5, 5].map((target) => ({ target, scores })),
      ).top5_accuracy,
    ).toBe(0.5);
  });

  test("takes the first of equal scores, and none that is not a number", () => {
    expect([0, 4, 5].map((target) => of(target, 1, 1, 1, 1, 1, 1))).toEqual([1, 1, 0]);
    expect([0, 1].map((target) => of(target, NaN, 1, 2, 3, 4, 0))).toEqual([0, 1]);
  });

  test("exists only for more than five classes, and is undefined without scores", () => {
    expect(metrics(6, [{ target: 0 }]).top5_accuracy).toBeNaN();
    expect(metrics(5, [{ target: 0, scores: [1, 2, 3, 4, 5] }])).not.toHaveProperty("top5_accuracy");
    const names = (targets: "class" | "probability", classes: number) => metricsUnder({ targets }, classes);
    expect(names("class", 6)).toContain("valid_top5_accuracy");
    expect(names("class", 5)).not.toContain("valid_top5_accuracy");
    expect(names("probability", Infinity)).not.toContain("valid_top5_accuracy");
    const why = (classes: number, isScored: boolean) =>
      whyUndefined("valid_top5_accuracy", classes, { targets: null, isScored });
    expect(why(5, true)).toBe("the target has 5 classes, and it takes at least 6");
    expect(why(6, false)).toContain("scores");
    expect(why(6, true)).toBeNull();
  });
});

/** The metrics of rows of values; `std` of each column, or of all. */
function valueMetrics(targets: number[][], predictions: number[][], std: number[], weights?: Float64Array) {
  const flat = { target: targets.flat(), prediction: predictions.flat() };
  const read = (what: string) => Float64Array.from(flat[what as "target"] ?? targets.flat().fill(1));
  const scores = new Float32Array();
  const data = { classes: null, columns: targets[0].length, std, scores, weights, read, exp: Math.exp };
  return computeMetrics(new EvaluatedRows(data), { targets: "value" }, "valid");
}

test("metrics of several columns are those of all their errors, in the data's units", () => {
  // As scikit-learn has them for y × std; R² with multioutput="variance_weighted".
  const [targets, predictions] = [
    [
      [0, 1],
      [1, 2],
      [2, 6],
    ],
    [
      [0, 2],
      [2, 2],
      [1, 4],
    ],
  ];
  const own = valueMetrics(targets, predictions, [1, 10]);
  expect(own.valid_mae).toBeCloseTo((0 + 10 + 1 + 0 + 1 + 20) / 6, 12);
  expect(own.valid_rmse).toBeCloseTo(Math.sqrt((100 + 1 + 1 + 400) / 6), 12);
  expect(own.valid_r2).toBeCloseTo(1 - (2 + 500) / (2 + 1400), 12);
  const shared = valueMetrics(targets, predictions, [10]);
  expect(shared.valid_mae).toBeCloseTo((0 + 10 + 10 + 0 + 10 + 20) / 6, 12);
  expect(shared.valid_r2).toBeCloseTo(1 - (2 + 5) / (2 + 14), 12);
});

test("a loss that tells no probabilities has no metrics of them, and numbers have the loss alone", () => {
  const names = (loss: string) => metricsUnder(losses[loss], 10).map((name) => name.slice("valid_".length));
  expect(names("multi_margin")).toEqual(["accuracy", "loss", "macro_f1", "precision", "recall"]);
  expect(names("nll")).toEqual(names("cross_entropy"));
  expect(names("bce")).toEqual(names("bce_with_logits"));
  expect(names("smooth_l1")).toEqual(["loss", "mae", "r2", "rmse"]);
  for (const loss of ["kl_div", "poisson_nll", "soft_margin", "hinge_embedding"]) expect(names(loss)).toEqual(["loss"]);
});

describe("weights", () => {
  const random = randomBelow(5);
  const rows = (classes: number, weights: readonly number[]): Required<Row>[] =>
    Array.from({ length: 80 }, () => {
      const scores = Array.from({ length: classes === 2 ? 1 : classes }, () => random(6));
      const decided = random(classes);
      return {
        target: random(classes),
        decided,
        scores,
        logLoss: random(100) / 70,
        weight: weights[random(weights.length)],
      };
    });

  test.each([2, 3, 7])("a row of weight n counts like n rows, with %d classes", (classes) => {
    const weighted = rows(classes, [0, 1, 2, 3]);
    const often = weighted.flatMap((row) => Array.from({ length: row.weight }, () => ({ ...row, weight: 1 })));
    const [one, many] = [metrics(classes, weighted), metrics(classes, often)];
    for (const [name, value] of Object.entries(many))
      expect([name, one[name]]).toEqual([name, expect.closeTo(value, 12)]);
    const even = weighted.map((row) => ({ ...row, weight: 1 }));
    expect(metrics(classes, even)).toEqual(
      metrics(
        classes,
        even.map((row) => ({ ...row, weight: undefined })),
      ),
    );
  });

  test("are those of scikit-learn's sample_weight", () => {
    const those = rows(2, [0.25, 0.7, 1.9]);
    const sum = (of: (row: Required<Row>) => number | boolean) =>
      those.reduce((total, row) => total + row.weight * Number(of(row)), 0);
    const found = metrics(2, those);
    const [precisions, recalls, scores] = [0, 1].reduce<number[][]>(
      ([ps, rs, fs], c) => {
        const right = sum(({ target, decided }) => target === c && decided === c);
        const [p, r] = [right / sum(({ decided }) => decided === c), right / sum(({ target }) => target === c)];
        return [
          [...ps, p],
          [...rs, r],
          [...fs, (2 * p * r) / (p + r)],
        ];
      },
      [[], [], []],
    );
    const mean = ([a, b]: number[]) => (a + b) / 2;
    const all = sum(() => 1);
    // Every pair of rows, as the area under the curve of the weighted rates.
    let pairs = 0;
    for (const a of those)
      for (const b of those) {
        if (a.target !== 1 || b.target !== 0) continue;
        pairs += a.weight * b.weight * (a.scores[0] > b.scores[0] ? 1 : a.scores[0] === b.scores[0] ? 0.5 : 0);
      }
    const expected = {
      accuracy: sum(({ target, decided }) => target === decided) / all,
      precision: mean(precisions),
      recall: mean(recalls),
      macro_f1: mean(scores),
      log_loss: sum(({ logLoss }) => logLoss) / all,
      auc: pairs / (sum(({ target }) => target === 1) * sum(({ target }) => target === 0)),
    };
    for (const [name, value] of Object.entries(expected))
      expect([name, found[name]]).toEqual([name, expect.closeTo(value, 12)]);
    expect(found.perplexity).toBeCloseTo(Math.exp(expected.log_loss), 6);
  });

  test("weigh errors of numbers, and the report says what the metrics say", () => {
    const [targets, predictions, each] = [
      [1, 2, 4, 8],
      [1.5, 2, 3, 9],
      [0.5, 2, 0, 1.5],
    ];
    const read = (what: string) => Float64Array.from(what === "prediction" ? predictions : targets);
    const data = { classes: null, columns: 1, std: [1], scores: new Float32Array(), read, exp: Math.exp };
    const rows = new EvaluatedRows({ ...data, weights: Float64Array.from(each) });
    const sum = (of: (target: number, error: number) => number) =>
      targets.reduce((total, target, i) => total + each[i] * of(target, predictions[i] - target), 0);
    const average = sum((target) => target) / 4;
    const mae = sum((_, error) => Math.abs(error)) / 4;
    const rmse = Math.sqrt(sum((_, error) => error * error) / 4);
    const r2 = 1 - sum((_, error) => error * error) / sum((target) => (target - average) ** 2);
    const close = { mae: expect.closeTo(mae, 12), rmse: expect.closeTo(rmse, 12), r2: expect.closeTo(r2, 12) };
    const found = computeMetrics(rows, { targets: "value" }, "test");
    expect({ mae: found.test_mae, rmse: found.test_rmse, r2: found.test_r2 }).toEqual(close);
    const [report] = reportOf(rows, 1).values!;
    expect(report).toMatchObject(close);
    // The quantiles are of the rows, whatever their weights.
    expect([report.residuals[0], report.residuals.at(-1)]).toEqual([-1, 1]);
  });

  test("a matrix of classes has sums of weights, and ones leave counts", () => {
    const read = (what: string) => Float64Array.from(what === "prediction" ? [0, 1, 1] : [0, 0, 1]);
    const data = { classes: 2, columns: 1, std: [1], scores: new Float32Array(), read, exp: Math.exp };
    const report = (weights?: Float64Array) => reportOf(new EvaluatedRows({ ...data, weights }), 1).classes;
    expect(report(Float64Array.of(0.5, 2, 4))).toEqual({
      present: [2.5, 4],
      predicted: [0.5, 6],
      right: [0.5, 4],
      confusion: [
        [0.5, 2],
        [0, 4],
      ],
    });
    expect(report()).toEqual(report(Float64Array.of(1, 1, 1)));
  });

  test("of 0 alone leave no metric but the loss", () => {
    const found = metrics(
      2,
      [0, 1].map((target) => ({ target, scores: [target], weight: 0 })),
    );
    expect(Object.entries(found).filter(([, value]) => !Number.isNaN(value))).toEqual([["loss", 1]]);
  });
});
