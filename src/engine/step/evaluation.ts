import { WORD } from "../crew/control.ts";
import type { Batches } from "./batches.ts";
import { computeMetrics } from "../metrics/metrics.ts";
import { EvaluatedRows, type Recorded } from "../metrics/rows.ts";
import type { TargetKind, TrainingData } from "../training.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { ForwardPass } from "../layers/layer.ts";
import { EVALUATION_DOUBLES, type Plan } from "../plan/model.ts";
import type { Network } from "./network.ts";
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
  batches: Batches,
  thread: number,
): void {
  const [from, to] = share(rows.length, thread, plan.threads);
  const [first, last] = share(plan.capacityRows, thread, plan.threads);
  const room = last - first;
  const pass: ForwardPass = { training: false, batch: 0, seedLow: 0, seedHigh: 0 };
  for (let at = from; at < to; at += room) {
    const count = Math.min(room, to - at);
    for (let i = 0; i < count; i++) batches.copy(rows[at + i], first + i);
    network.forward(first, first + count, pass);
    network.loss.run(first, first + count, 0);
    kernels.i32[(plan.addresses.control >>> 2) + WORD.evaluated]++;
    for (let i = 0; i < count; i++) record(kernels, plan, data.targets[rows[at + i]], network, first + i, at + i);
    if (network.logLoss === null) continue;
    network.logLoss.run(first, first + count, 0);
    for (let i = 0; i < count; i++) recordClasses(kernels, plan, first + i, at + i);
  }
}

/** Loss, divisor, target and prediction of the row in sample `sample` of the buffers. */
function record(kernels: Kernels, plan: Plan, target: number, network: Network, sample: number, row: number): void {
  const outputs = outputsOf(plan, sample);
  const at = recordOf(plan, row);
  kernels.f64[at] = termsOf(kernels, plan, sample);
  kernels.f64[at + 1] = network.loss.divisor(1, () => target);
  kernels.f64[at + 2] = target;
  kernels.f64[at + 3] = plan.outputs === 1 ? kernels.f32[outputs] : largest(kernels.f32, outputs, plan.outputs);
}

/**
 * Records the log loss of the row and its scores. With two classes the score is the log-odds of the
 * second class; with more, the scores are the logarithms of the probabilities.
 */
function recordClasses(kernels: Kernels, plan: Plan, sample: number, row: number): void {
  kernels.f64[recordOf(plan, row) + 4] = termsOf(kernels, plan, sample);
  const { f32 } = kernels;
  const from = outputsOf(plan, sample);
  const to = (plan.addresses.scores >>> 2) + row * plan.scoresPerRow;
  if (plan.scoresPerRow === 1) f32[to] = plan.outputs === 1 ? f32[from] : f32[from + 1] - f32[from];
  if (plan.scoresPerRow < 2) return;
  const most = f32[from + largest(f32, from, plan.outputs)];
  let sum = 0;
  for (let i = 0; i < plan.outputs; i++) sum += kernels.exp(f32[from + i] - most);
  const logSum = most + kernels.log(sum);
  for (let i = 0; i < plan.outputs; i++) f32[to + i] = f32[from + i] - logSum;
}

const outputsOf = (plan: Plan, sample: number): number =>
  (plan.layers[plan.layers.length - 1].output >>> 2) + sample * plan.outputs;

const recordOf = (plan: Plan, row: number): number => (plan.addresses.evaluation >>> 3) + row * EVALUATION_DOUBLES;

function termsOf(kernels: Kernels, plan: Plan, sample: number): number {
  const terms = (plan.addresses.terms >>> 2) + sample * plan.termsPerSample;
  let sum = 0;
  for (let i = 0; i < plan.termsPerSample; i++) sum += kernels.f32[terms + i];
  return sum;
}

/** The index of the largest of `count` numbers; of equal ones the first. */
function largest(values: Float32Array, first: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[first + i] > values[first + best]) best = i;
  return best;
}

/**
 * The metrics of `rows` rows that were recorded: `valid_loss` and so on, or `test_loss`. One that
 * is undefined is NaN.
 */
export function metricsOf(
  kernels: Kernels,
  plan: Plan,
  data: TrainingData,
  rows: number,
  targets: TargetKind,
  side: "valid" | "test" = "valid",
): Record<string, number> {
  const begin = recordOf(plan, 0);
  const records = kernels.f64.subarray(begin, begin + rows * EVALUATION_DOUBLES);
  const scores = plan.addresses.scores >>> 2;
  const isBinary = targets === "probability";
  const evaluated = new EvaluatedRows({
    classes: targets === "value" ? null : isBinary ? 2 : plan.outputs,
    std: data.target.std,
    scores: kernels.f32.subarray(scores, scores + rows * plan.scoresPerRow),
    read(what) {
      const values = column(records, RECORD.indexOf(what));
      return isBinary && what === "prediction" ? values.map((output) => Number(output > 0)) : values;
    },
    exp: (x) => kernels.exp(x),
  });
  return computeMetrics(evaluated, side);
}

/** One of the doubles of each record. */
function column(records: Float64Array, index: number): Float64Array {
  const values = new Float64Array(records.length / EVALUATION_DOUBLES);
  for (let row = 0; row < values.length; row++) values[row] = records[row * EVALUATION_DOUBLES + index];
  return values;
}
