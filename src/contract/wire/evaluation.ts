/** What the final weights of a job do on the rows that it held back. */
import { z } from "zod";
import { MAX_MATRIX_CLASSES, QUANTILES, type EvaluationReport } from "../../engine/metrics/report.ts";
import { Count, JobId } from "./common.ts";
import type { ModelDescription } from "./model.ts";

export type { EvaluationReport } from "../../engine/metrics/report.ts";

export const Split = z.enum(["valid", "test"]).describe("The rows that validated, or those of the test.");
export type Split = z.infer<typeof Split>;

const share = z.number().nullable();
const value = z.number().nullable();
const weight = z.number().min(0);

/** min, p01, …, p99, max */
const quantileNames = QUANTILES.map((quantile) =>
  quantile === 0 ? "min" : quantile === 1 ? "max" : `p${String(quantile * 100).padStart(2, "0")}`,
);

export const Evaluation = z
  .object({
    job_id: JobId,
    split: Split,
    targets: Count.describe("How many targets were evaluated: one of each row, or as many as a row has."),
    classes: z
      .array(
        z.object({
          class: z.string(),
          rows: weight.describe(
            "Targets of this class, or with `data.weight` the sum of their weights, as in all of this.",
          ),
          predicted: weight.describe("Targets that are taken for this class."),
          precision: share.describe(
            "The share of the targets predicted as this class that are of it; null if there are none.",
          ),
          recall: share.describe(
            "The share of the targets of this class that are predicted as it; null if there are none.",
          ),
          f1: share,
        }),
      )
      .nullable()
      .describe("Null if the targets are numbers."),
    confusion: z
      .array(z.array(weight))
      .nullable()
      .describe(
        `Targets of each class (a row of the matrix), by the class that they are taken for, both in the order of \`classes\`. Null if there are more than ${MAX_MATRIX_CLASSES} classes.`,
      ),
    values: z
      .array(
        z.object({
          column: z.string(),
          mae: value,
          rmse: value,
          r2: value,
          residuals: z
            .record(z.string(), value)
            .describe(
              `Prediction − target: ${quantileNames.join(", ")}, between two values on the straight line. Each counts once, whatever its weight.`,
            ),
        }),
      )
      .nullable()
      .describe("For each column of the target, in its units; an array is one. Null if the targets are classes."),
  })
  .meta({
    id: "Evaluation",
    description: "What the final weights do on the rows that a job held back. What is not finite is null.",
  });
export type Evaluation = z.infer<typeof Evaluation>;

export function evaluationOf(
  job_id: string,
  split: Split,
  { targets, classes, values }: EvaluationReport,
  { column, classes: names, words = ["0", "1"] }: ModelDescription["target"],
): Evaluation {
  const labels = names ?? words;
  const columns = [column].flat();
  return {
    job_id,
    split,
    targets,
    classes:
      classes && labels.map((name, i) => classFacts(name, classes.present[i], classes.predicted[i], classes.right[i])),
    confusion: (classes?.confusion as number[][] | null | undefined) ?? null,
    values:
      values &&
      values.map(({ residuals, ...facts }, i) => ({
        column: columns[i],
        ...facts,
        residuals: Object.fromEntries(residuals.map((residual, at) => [quantileNames[at], residual])),
      })),
  };
}

function classFacts(name: string, rows: number, predicted: number, right: number) {
  const part = (of: number) => (of === 0 ? null : right / of);
  const f1 = rows + predicted === 0 ? null : (2 * right) / (rows + predicted);
  return { class: name, rows, predicted, precision: part(predicted), recall: part(rows), f1 };
}
