import type { TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import { size } from "../member/shape.ts";
import type { Plan } from "../plan/model.ts";
import { writeOrder } from "../step/batches.ts";
import { targetStep, type TrainingData } from "../training.ts";
import { LANES } from "./face.ts";

/** Rows of one of a job's arrays, and where they go in the pack's memory. */
interface Column {
  /** The address of the first row. */
  readonly from: number;
  /** Elements of a row, and bytes from one row to the next. */
  readonly width: number;
  readonly step: number;
  /** The address of the lane's element in the first of the batch. */
  readonly to: number;
}

/** An array with a row of `width` elements for each row of the data. */
interface Rows {
  readonly values: Float32Array | Int32Array;
  readonly width: number;
  readonly step: number;
}

/**
 * The batches of one lane: the rows of its own data in its own order. The data and the order lie in
 * the memory, so that a kernel can copy them.
 */
export class LaneBatches {
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #columns: readonly Column[];
  /** The address of the numbers of the rows in the order of the present epoch. */
  readonly #rows: number;

  /**
   * `inputs`: the addresses of values for one model, the inputs first. `data`: that of `laneBytes`
   * bytes for the lane.
   */
  constructor(
    kernels: Kernels,
    plan: Plan,
    job: TrainingJob,
    inputs: readonly number[],
    { lane, data }: { readonly lane: number; readonly data: number },
  ) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    const places = [...inputs.slice(0, job.data.inputs.length), plan.addresses.targets];
    let at = data;
    this.#columns = arraysOf(job.data).map(({ values, width, step }, i) => {
      const from = at;
      at += values.byteLength;
      // The bits are copied: there is one kind of numbers here.
      kernels.i32.set(new Int32Array(values.buffer, values.byteOffset, values.length), from / 4);
      return { from, width, step: step * 4, to: places[i] * LANES + lane * 4 };
    });
    this.#rows = at;
  }

  beginEpoch(epoch: number): void {
    const { trainRows } = this.#job.data;
    const { i32 } = this.#kernels;
    const order = writeOrder(this.#kernels, this.#plan, this.#job, epoch);
    const first = this.#rows / 4;
    for (let i = 0; i < order.length; i++) i32[first + i] = trainRows[order[i]];
  }

  /** Copies rows begin..end of the epoch to this lane of the batch. */
  gather(begin: number, end: number): void {
    const rows = this.#rows + begin * 4;
    for (const { to, from, width, step } of this.#columns)
      this.#kernels.pack_gather(to, from, rows, end - begin, width, step);
  }
}

/** The bytes of a job's data and of the order of its rows. */
export function laneBytes({ data }: TrainingJob): number {
  return arraysOf(data).reduce((sum, { values }) => sum + values.byteLength, data.trainRows.byteLength);
}

/** The inputs and the targets. */
function arraysOf(data: TrainingData): Rows[] {
  const { inputs, targets, targetShape } = data;
  return [
    ...inputs.map(({ values, shape, step = size(shape) }) => ({ values, width: size(shape), step })),
    { values: targets, width: size(targetShape), step: targetStep(data) },
  ];
}
