/*
 * How long one thread trains, estimated from the plan. The estimate tells small jobs from large
 * ones, so it need not be exact: it is meant to be right within a factor of three. The figures are
 * those of the portable kernels on a processor of 2022; `npm run bench -- models` prints the
 * estimate beside what it measures.
 */
import { batchesPerEpoch, stepsPerEpoch } from "../job.ts";
import { size } from "../member/shape.ts";
import type { Training } from "../settings.ts";
import type { Plan } from "./model.ts";
import { learns } from "./parameters.ts";

/** Nanoseconds of a multiply-add of a product. */
const MULTIPLY_ADD = 0.05;
/** Of an element that a layer writes or keeps: forward, then backward. */
const ELEMENT = 1;
/** Of an update, for each of the weight, its gradient and the optimizer's tensors. */
const UPDATE = 0.25;
/** Of a layer's call, whatever its size. */
const CALL = 150;
/** Of a row that is gathered, and of one that is judged. */
const ROW = 20;
const JUDGED_ROW = 200;
/** Of what a step and an evaluation do besides. */
const STEP = 2000;
const EVALUATION = 50_000;

type Paced = Pick<
  Training,
  "epochs" | "batch_size" | "drop_last" | "gradient_accumulation_steps" | "eval_every_epochs"
>;

interface Rows {
  readonly train: number;
  readonly valid: number;
}

export interface Course {
  readonly steps: number;
  /** Batches of all steps together. */
  readonly batches: number;
  readonly evaluations: number;
  /** The rows of one evaluation. */
  readonly evaluatedRows: number;
}

/** How often a training does what, if it ends after its last epoch. */
export function courseOf(training: Paced, { train, valid }: Rows): Course {
  const { epochs, eval_every_epochs: every } = training;
  return {
    steps: epochs * stepsPerEpoch(training, train),
    batches: epochs * batchesPerEpoch(training, train),
    evaluations: valid === 0 ? 0 : Math.ceil(epochs / every),
    evaluatedRows: valid,
  };
}

/** Milliseconds on one thread. */
export function workMs(plan: Plan, { steps, batches, evaluations, evaluatedRows }: Course): number {
  const { products, elements } = perSample(plan);
  const forward = products * MULTIPLY_ADD + elements * ELEMENT;
  const calls = plan.nodes.length * CALL;
  // The way back multiplies twice: for the gradients of the inputs, and for those of the weights.
  const batch = 3 * (calls + plan.batchRows * forward) + plan.batchRows * ROW;
  const evaluation = EVALUATION + calls + evaluatedRows * (forward + JUDGED_ROW);
  return (steps * (STEP + updates(plan)) + batches * batch + evaluations * evaluation) / 1e6;
}

/** What one sample takes forward. */
function perSample({ parameters, nodes, values }: Plan): { products: number; elements: number } {
  const products = parameters.reduce((sum, { shape, rowCost }) => sum + shape[0] * rowCost, 0);
  const elements = nodes.reduce((sum, { output, shape }) => sum + size(values[output].shape) + (shape.saved ?? 0), 0);
  return { products, elements };
}

function updates({ parameters, batchRows }: Plan): number {
  return parameters.filter(learns).reduce((sum, { length, shape, rowCost, rows, state }) => {
    const updated = rows ? Math.min(length, shape[0] * rowCost * batchRows) : length;
    return sum + updated * (2 + state.length) * UPDATE;
  }, 0);
}
