import { WORD } from "./control.ts";
import type { Batches } from "./batches.ts";
import type { TrainingData } from "./training.ts";
import type { Kernels } from "./kernels/kernels.ts";
import type { ForwardPass } from "./layers/layer.ts";
import { EVALUATION_DOUBLES, type Plan } from "./model.ts";
import type { Network } from "./network.ts";
import { share } from "./slices.ts";

/*
 * The validation rows through the model. Each thread takes its share of them through its share of the activation buffers and records four
 * doubles a row; the leader then makes metrics of the records, row by row in ascending order, so that the metrics, too, do not depend
 * on who computed what.
 */

/** Runs this thread's share of the validation rows and records them. The evaluation weights must be in place. */
export function evaluateShare(
  kernels: Kernels,
  plan: Plan,
  data: TrainingData,
  network: Network,
  batches: Batches,
  thread: number,
): void {
  const [from, to] = share(data.validRows.length, thread, plan.threads);
  const [first, last] = share(plan.capacityRows, thread, plan.threads);
  const room = last - first;
  const pass: ForwardPass = { training: false, batch: 0, seedLow: 0, seedHigh: 0 };
  for (let at = from; at < to; at += room) {
    const count = Math.min(room, to - at);
    for (let i = 0; i < count; i++) batches.copy(data.validRows[at + i], first + i);
    network.forward(first, first + count, pass);
    network.loss.run(first, first + count, 0);
    kernels.i32[(plan.addresses.control >>> 2) + WORD.evaluated]++;
    for (let i = 0; i < count; i++) record(kernels, plan, data, network, first + i, at + i);
  }
}

/** Loss, divisor, target and prediction of the row in sample `sample` of the buffers. */
function record(kernels: Kernels, plan: Plan, data: TrainingData, network: Network, sample: number, row: number): void {
  const terms = (plan.addresses.terms >>> 2) + sample * plan.termsPerSample;
  let loss = 0;
  for (let i = 0; i < plan.termsPerSample; i++) loss += kernels.f32[terms + i];
  const outputs = (plan.layers[plan.layers.length - 1].output >>> 2) + sample * plan.outputs;
  const at = (plan.addresses.evaluation >>> 3) + row * EVALUATION_DOUBLES;
  const target = data.targets[data.validRows[row]];
  kernels.f64[at] = loss;
  kernels.f64[at + 1] = network.loss.divisor(1, () => target);
  kernels.f64[at + 2] = target;
  kernels.f64[at + 3] = plan.outputs === 1 ? kernels.f32[outputs] : largest(kernels.f32, outputs, plan.outputs);
}

/** The index of the largest of `count` numbers; of equal ones the first. */
function largest(values: Float32Array, first: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[first + i] > values[first + best]) best = i;
  return best;
}

/** The metrics of all records. */
export function metricsOf(kernels: Kernels, plan: Plan, data: TrainingData, loss: string): Record<string, number> {
  const rows = data.validRows.length;
  const begin = plan.addresses.evaluation >>> 3;
  const records = kernels.f64.subarray(begin, begin + rows * EVALUATION_DOUBLES);
  let sum = 0;
  let divisor = 0;
  for (let at = 0; at < records.length; at += EVALUATION_DOUBLES) {
    sum += records[at];
    divisor += records[at + 1];
  }
  const metrics = { valid_loss: sum / (divisor || 1) };
  if (plan.outputs > 1)
    return { ...metrics, ...classification(records, data.target.classes?.length ?? plan.outputs, (output) => output) };
  if (loss === "bce_with_logits") return { ...metrics, ...classification(records, 2, (output) => Number(output > 0)) };
  return { ...metrics, ...regression(records, data.target.std) };
}

/** Accuracy, and the mean over classes of F1 (a class that is neither present nor predicted is left out). */
function classification(
  records: Float64Array,
  classes: number,
  decide: (output: number) => number,
): Record<string, number> {
  const counts = new Float64Array(classes * 3);
  let right = 0;
  for (let at = 0; at < records.length; at += EVALUATION_DOUBLES) {
    const target = records[at + 2];
    const decided = decide(records[at + 3]);
    counts[target * 3]++;
    counts[decided * 3 + 1]++;
    if (target !== decided) continue;
    counts[target * 3 + 2]++;
    right++;
  }
  let f1 = 0;
  let seen = 0;
  for (let i = 0; i < classes; i++) {
    const [present, predicted, both] = counts.subarray(i * 3, i * 3 + 3);
    if (present + predicted === 0) continue;
    f1 += (2 * both) / (present + predicted);
    seen++;
  }
  return { valid_accuracy: (right * EVALUATION_DOUBLES) / records.length, valid_macro_f1: f1 / seen };
}

/**
 * R² and the mean absolute error, in the target's original units. Of a target that does not vary R²
 * is 1 if every prediction is right, else 0, as scikit-learn has it.
 */
function regression(records: Float64Array, std: number): Record<string, number> {
  const rows = records.length / EVALUATION_DOUBLES;
  let mean = 0;
  for (let at = 2; at < records.length; at += EVALUATION_DOUBLES) mean += records[at];
  mean /= rows;
  let residual = 0;
  let total = 0;
  let absolute = 0;
  for (let at = 2; at < records.length; at += EVALUATION_DOUBLES) {
    const error = records[at] - records[at + 1];
    const spread = records[at] - mean;
    residual += error * error;
    total += spread * spread;
    absolute += Math.abs(error);
  }
  // Without variance the residual is zero or everything; NaN stays NaN.
  const unexplained = total === 0 ? Math.sign(residual) : residual / total;
  return { valid_r2: 1 - unexplained, valid_mae: (absolute / rows) * std };
}
