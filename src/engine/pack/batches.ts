import type { TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { size } from "../member/shape.ts";
import type { Plan } from "../plan/model.ts";
import { writeOrder } from "../step/batches.ts";
import { targetStep } from "../training.ts";
import { LANES } from "./face.ts";

/** Rows of one of a job's arrays, and where they go in the pack's memory. */
interface Column {
  /** The bits of its elements, so that there is one kind of numbers here. */
  readonly from: Int32Array;
  /** Elements of a row, and from one row to the next. */
  readonly width: number;
  readonly step: number;
  /** The index in the pack's memory of the first element of the batch's first row. */
  readonly first: number;
}

/** The batches of one lane: the rows of its own data in its own order. */
export class LaneBatches {
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #columns: readonly Column[];
  /** The rows of the data in the order of the present epoch. */
  readonly #rows: Int32Array;

  /** `inputs`: the addresses of the inputs' buffers for one model. */
  constructor(kernels: Kernels, plan: Plan, job: TrainingJob, inputs: readonly number[], lane: number) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    const { data } = job;
    const column = (values: Float32Array | Int32Array, width: number, step: number, address: number): Column => ({
      from: new Int32Array(values.buffer, values.byteOffset, values.length),
      width,
      step,
      first: (address * LANES) / 4 + lane,
    });
    this.#columns = [
      ...data.inputs.map(({ values, shape, step = size(shape) }, i) => column(values, size(shape), step, inputs[i])),
      column(data.targets, plan.targetSize, targetStep(data), plan.addresses.targets),
    ];
    this.#rows = new Int32Array(data.trainRows.length);
  }

  beginEpoch(epoch: number): void {
    const { trainRows } = this.#job.data;
    const order = writeOrder(this.#kernels, this.#plan, this.#job, epoch);
    for (let i = 0; i < order.length; i++) this.#rows[i] = trainRows[order[i]];
  }

  /** Copies rows begin..end of the epoch to this lane of the batch. */
  gather(begin: number, end: number): void {
    for (const column of this.#columns) gatherRows(this.#kernels.i32, column, this.#rows, begin, end);
  }
}

function gatherRows(
  to: Int32Array,
  { from, width, step, first }: Column,
  rows: Int32Array,
  begin: number,
  end: number,
) {
  let at = first;
  for (let i = begin; i < end; i++) {
    const row = rows[i] * step;
    for (let j = row; j < row + width; j++, at += LANES) to[at] = from[j];
  }
}
