import { WORD } from "../crew/control.ts";
import type { Batches } from "./batches.ts";
import { meanLoss } from "../metrics/loss.ts";
import { computeMetrics } from "../metrics/metrics.ts";
import { reportOf, type EvaluationReport } from "../metrics/report.ts";
import { EvaluatedRows, type Recorded } from "../metrics/rows.ts";
import { lossWeightsOf, targetStep, type TrainingData } from "../training.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { ForwardPass } from "../layers/layer.ts";
import type { Plan } from "../plan/model.ts";
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

/** What the doubles of a record are. All rows' first doubles lie together, then the second ones. */
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
    for (let i = 0; i < count; i++) batches.copy(rows[at + i], network.values, first + i);
    network.forward(first, first + count, count, pass);
    loss.run(first, first + count, 0);
    kernels.i32[(plan.addresses.control >>> 2) + WORD.evaluated]++;
    const recorded = { rows, at, count, first };
    record(kernels, plan, data, recorded, network, loss);
    if (logLoss === null) continue;
    logLoss.run(first, first + count, 0);
    recordClasses(kernels, plan, recorded, network);
  }
}

/** `count` rows from the one at place `at` on, as samples of the buffers from `first` on. */
interface Samples {
  readonly rows: Int32Array;
  readonly at: number;
  readonly count: number;
  readonly first: number;
}

/** Records loss, divisor, target and prediction of each target of the rows. */
function record(
  { f64, f32 }: Kernels,
  plan: Plan,
  data: TrainingData,
  { rows, at, count, first }: Samples,
  network: Network,
  loss: Loss,
): void {
  const { targetSize, outputs, addresses } = plan;
  const step = targetStep(data);
  const weights = lossWeightsOf(data);
  const ofClasses = hasClasses(plan);
  const losses = columnOf(plan, rows, "loss");
  const divisors = columnOf(plan, rows, "divisor");
  const targets = columnOf(plan, rows, "target");
  const predictions = columnOf(plan, rows, "prediction");
  for (let i = 0; i < count; i++) {
    const row = rows[at + i];
    const weight = weights === undefined ? 1 : weights[row];
    for (let j = 0; j < targetSize; j++) {
      const sample = (first + i) * targetSize + j;
      const number = (at + i) * targetSize + j;
      const from = predictionOf(plan, network, sample);
      f64[losses + number] = weight * f32[(addresses.terms >>> 2) + sample];
      f64[divisors + number] = weight * loss.divisor(addresses.targets + sample * 4, 1, 0);
      f64[targets + number] = data.targets[row * step + j];
      f64[predictions + number] = ofClasses ? largest(f32, from, outputs) : f32[from];
    }
  }
}

/**
 * Records the log loss of each target of the rows and its scores. With two classes the score is the
 * log-odds of the second class; with more, the scores are the logarithms of the probabilities.
 */
function recordClasses(kernels: Kernels, plan: Plan, { rows, at, count, first }: Samples, network: Network): void {
  const { targetSize, addresses } = plan;
  const losses = columnOf(plan, rows, "log_loss");
  for (let i = 0; i < count * targetSize; i++) {
    const [sample, number] = [first * targetSize + i, at * targetSize + i];
    kernels.f64[losses + number] = kernels.f32[(addresses.terms >>> 2) + sample];
    recordScores(kernels, plan, predictionOf(plan, network, sample), number);
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

/** The index of the outputs for a target: for number `target` of those of all samples. */
const predictionOf = (plan: Plan, { prediction }: Network, target: number): number =>
  prediction / 4 + target * (hasClasses(plan) ? plan.outputs : 1);

/** The index of the first double of a column of the records. */
const columnOf = ({ addresses, targetSize }: Plan, rows: Int32Array, what: Recorded): number =>
  (addresses.evaluation >>> 3) + RECORD.indexOf(what) * rows.length * targetSize;

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

/** The loss alone, as `metricsOf` gives it. The rows may have been recorded without log losses. */
export function lossOf(
  { f64 }: Kernels,
  plan: Plan,
  _data: TrainingData,
  rows: Int32Array,
  { ignored }: Pick<Loss, "ignored">,
): Record<string, number> {
  const column = (what: Recorded) => recordedColumn(f64, plan, rows, what);
  const counted = ignored === undefined ? ALL : countedAmong(column("target"), ignored);
  return { valid_loss: meanLoss(counted(column("loss"), 1), counted(column("divisor"), 1)) };
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
  const column = (what: Recorded) => recordedColumn(kernels.f64, plan, rows, what);
  const scores = plan.addresses.scores >>> 2;
  const counted = countedAmong(column("target"), ignored);
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
      const values = counted(column(what), 1);
      return isBinary && what === "prediction" ? values.map((output) => Number(output > boundary)) : values;
    },
    exp: (x) => kernels.exp(x),
  });
}

function recordedColumn(f64: Float64Array, plan: Plan, rows: Int32Array, what: Recorded): Float64Array {
  const begin = columnOf(plan, rows, what);
  return f64.subarray(begin, begin + rows.length * plan.targetSize);
}

/** All targets of a row have its weight. */
function weightsOf(weights: Float64Array, rows: Int32Array, targetSize: number): Float64Array {
  return new Float64Array(rows.length * targetSize).map((_, i) => weights[rows[Math.floor(i / targetSize)]]);
}

/** Leaves out the numbers of ignored targets, of which there are `each` for every target. */
type Counted = <T extends Float32Array | Float64Array>(values: T, each: number) => T;

const ALL: Counted = (values) => values;

function countedAmong(targets: Float64Array, ignored: number | undefined): Counted {
  if (ignored === undefined || !targets.includes(ignored)) return ALL;
  const counts = (target: number) => targets[target] !== ignored;
  return (values, each) => values.filter((_, i) => counts(Math.floor(i / each))) as typeof values;
}
