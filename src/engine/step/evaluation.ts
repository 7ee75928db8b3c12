import { WORD } from "../crew/control.ts";
import type { Batches } from "./batches.ts";
import { computeMetrics } from "../metrics/metrics.ts";
import { reportOf, type EvaluationReport } from "../metrics/report.ts";
import { EvaluatedRows, type Recorded } from "../metrics/rows.ts";
import { lossWeightsOf, targetStep, type TrainingData } from "../training.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { ForwardPass } from "../layers/layer.ts";
import { EVALUATION_DOUBLES, type Plan } from "../plan/model.ts";
import type { Loss, LossType } from "../losses/loss.ts";
import type { Network } from "./network.ts";
import type { Objective } from "./objective.ts";
import { size } from "../member/shape.ts";
import { share } from "../plan/slices.ts";

/*
 * Evaluation: a forward pass over rows that are not trained on. Each thread runs its share of the
 * rows through its share of the activation buffers. For each row it records EVALUATION_DOUBLES
 * doubles and the scores of the classes. The leader then computes the metrics from the records, row
 * by row in ascending order. So the metrics do not depend on which thread computed which row.
 */

/** What the doubles of a record are. */
const RECORD: readonly Recorded[] = ["loss", "divisor", "target", "prediction", "log_loss"];

export interface Evaluation {
  readonly step: number;
  readonly epoch: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly improved: boolean;
}

/** Runs this thread's share of `rows` and records them. The evaluation weights must be in place. */
export function evaluateShare(
  kernels: Kernels,
  plan: Plan,
  data: TrainingData,
  rows: Int32Array,
  network: Network,
  { loss, logLoss }: Objective,
  batches: Batches,
  thread: number,
): void {
  const [from, to] = share(rows.length, thread, plan.threads);
  const room = plan.evaluation.rows;
  const first = thread * room;
  const pass: ForwardPass = { training: false, batch: 0, seedLow: 0, seedHigh: 0 };
  for (let at = from; at < to; at += room) {
    const count = Math.min(room, to - at);
    const each = (note: (sample: number, row: number) => void) => {
      for (let i = 0; i < count; i++) note(first + i, at + i);
    };
    each((sample, row) => batches.copy(rows[row], network.values, sample));
    network.forward(first, first + count, count, pass);
    loss.run(first, first + count, 0);
    kernels.i32[(plan.addresses.control >>> 2) + WORD.evaluated]++;
    each((sample, row) => record(kernels, plan, data, rows[row], network, loss, sample, row));
    if (logLoss === null) continue;
    logLoss.run(first, first + count, 0);
    each((sample, row) => recordClasses(kernels, plan, network, sample, row));
  }
}

/**
 * Loss, divisor, target and prediction of each target of a row in sample `sample` of the buffers.
 */
function record(
  { f64, f32 }: Kernels,
  plan: Plan,
  data: TrainingData,
  dataRow: number,
  network: Network,
  loss: Loss,
  sample: number,
  row: number,
): void {
  const { targetSize, outputs } = plan;
  const address = plan.addresses.targets + sample * targetSize * 4;
  const firstTarget = dataRow * targetStep(data);
  const weight = lossWeightsOf(data)?.[dataRow] ?? 1;
  for (let i = 0; i < targetSize; i++) {
    const at = recordOf(plan, row * targetSize + i);
    const from = predictionOf(plan, network, sample, i);
    f64[at] = weight * termOf(f32, plan, sample, i);
    f64[at + 1] = weight * loss.divisor(address + i * 4, 1, 0);
    f64[at + 2] = data.targets[firstTarget + i];
    f64[at + 3] = hasClasses(plan) ? largest(f32, from, outputs) : f32[from];
  }
}

/**
 * Records the log loss of each target of the row and its scores. With two classes the score is the
 * log-odds of the second class; with more, the scores are the logarithms of the probabilities.
 */
function recordClasses(kernels: Kernels, plan: Plan, network: Network, sample: number, row: number): void {
  for (let i = 0; i < plan.targetSize; i++) {
    const number = row * plan.targetSize + i;
    kernels.f64[recordOf(plan, number) + 4] = termOf(kernels.f32, plan, sample, i);
    recordScores(kernels, plan, predictionOf(plan, network, sample, i), number);
  }
}

function recordScores(kernels: Kernels, plan: Plan, from: number, number: number): void {
  const { f32 } = kernels;
  const to = (plan.addresses.scores >>> 2) + number * plan.scoresPerTarget;
  if (plan.scoresPerTarget === 1) f32[to] = hasClasses(plan) ? f32[from + 1] - f32[from] : f32[from];
  if (plan.scoresPerTarget < 2) return;
  const most = f32[from + largest(f32, from, plan.outputs)];
  let sum = 0;
  for (let i = 0; i < plan.outputs; i++) sum += kernels.exp(f32[from + i] - most);
  const logSum = most + kernels.log(sum);
  for (let i = 0; i < plan.outputs; i++) f32[to + i] = f32[from + i] - logSum;
}

/** Whether each target has an output for every class; else each has one output. */
const hasClasses = ({ prediction, targetSize }: Plan): boolean => size(prediction) > targetSize;

/** The index of the outputs for target `target` of a sample. */
const predictionOf = (plan: Plan, { prediction }: Network, sample: number, target: number): number =>
  prediction / 4 + (sample * plan.targetSize + target) * (hasClasses(plan) ? plan.outputs : 1);

const recordOf = (plan: Plan, number: number): number =>
  (plan.addresses.evaluation >>> 3) + number * EVALUATION_DOUBLES;

/** The loss has one term for each target. */
const termOf = (f32: Float32Array, { addresses, targetSize }: Plan, sample: number, target: number): number =>
  f32[(addresses.terms >>> 2) + sample * targetSize + target];

/** The index of the largest of `count` numbers; of equal ones the first. */
function largest(values: Float32Array, first: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[first + i] > values[first + best]) best = i;
  return best;
}

/**
 * The metrics of the rows that were recorded: `valid_loss` and so on, or `test_loss`. Targets of
 * the class that the loss ignores do not count in any. A metric that is undefined is NaN.
 */
export function metricsOf(
  kernels: Kernels,
  plan: Plan,
  data: TrainingData,
  rows: Int32Array,
  loss: Pick<LossType, "targets" | "logLoss" | "boundary"> & Pick<Loss, "ignored">,
  side: "valid" | "test" = "valid",
): Record<string, number> {
  return computeMetrics(evaluatedRows(kernels, plan, data, rows, loss), loss, side);
}

/** What the rows that were recorded say beyond the metrics. */
export function reportOn(
  kernels: Kernels,
  plan: Plan,
  data: TrainingData,
  rows: Int32Array,
  loss: Pick<LossType, "targets" | "boundary"> & Pick<Loss, "ignored">,
): EvaluationReport {
  return reportOf(evaluatedRows(kernels, plan, data, rows, loss), [data.target.std].flat().length);
}

function evaluatedRows(
  kernels: Kernels,
  plan: Plan,
  data: TrainingData,
  rows: Int32Array,
  { targets, boundary = 0, ignored }: Pick<LossType, "targets" | "boundary"> & Pick<Loss, "ignored">,
): EvaluatedRows {
  const begin = recordOf(plan, 0);
  const records = kernels.f64.subarray(begin, begin + rows.length * plan.targetSize * EVALUATION_DOUBLES);
  const scores = plan.addresses.scores >>> 2;
  const counted = countedAmong(column(records, RECORD.indexOf("target")), ignored);
  const isBinary = targets === "probability";
  return new EvaluatedRows({
    classes: targets === "class" ? plan.outputs : isBinary ? 2 : null,
    columns: targets === "class" || isBinary ? 1 : plan.targetSize,
    std: [data.target.std].flat(),
    scores: counted(
      kernels.f32.subarray(scores, scores + rows.length * plan.targetSize * plan.scoresPerTarget),
      plan.scoresPerTarget,
    ),
    weights: data.weights && counted(weightsOf(data.weights, rows, plan.targetSize), 1),
    read(what) {
      const values = counted(column(records, RECORD.indexOf(what)), 1);
      return isBinary && what === "prediction" ? values.map((output) => Number(output > boundary)) : values;
    },
    exp: (x) => kernels.exp(x),
  });
}

/** All targets of a row have its weight. */
function weightsOf(weights: Float64Array, rows: Int32Array, targetSize: number): Float64Array {
  return new Float64Array(rows.length * targetSize).map((_, i) => weights[rows[Math.floor(i / targetSize)]]);
}

/** Leaves out the numbers of ignored targets, of which there are `each` for every target. */
type Counted = <T extends Float32Array | Float64Array>(values: T, each: number) => T;

function countedAmong(targets: Float64Array, ignored: number | undefined): Counted {
  if (ignored === undefined || !targets.includes(ignored)) return (values) => values;
  const counts = (target: number) => targets[target] !== ignored;
  return (values, each) => values.filter((_, i) => counts(Math.floor(i / each))) as typeof values;
}

/** One of the doubles of each record. */
function column(records: Float64Array, index: number): Float64Array {
  const values = new Float64Array(records.length / EVALUATION_DOUBLES);
  for (let row = 0; row < values.length; row++) values[row] = records[row * EVALUATION_DOUBLES + index];
  return values;
}
