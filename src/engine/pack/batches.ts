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

/** Where a network takes its inputs from, as addresses of values for one model. */
export interface LaneInputs {
  readonly training: readonly number[];
  readonly evaluation: readonly number[];
}

/**
 * The batches of one lane: the rows of its own data in its own order, and those that validate. The
 * data and the numbers of the rows lie in the memory, so that a kernel can copy them.
 */
export class LaneBatches {
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #job: TrainingJob;
  readonly #columns: readonly Column[];
  /** The same, to where the rows that validate go. */
  readonly #validColumns: readonly Column[];
  /** The address of the numbers of the rows in the order of the present epoch. */
  readonly #rows: number;
  /** That of the rows that validate. */
  readonly #validRows: number;

  /** `data`: the address of `laneBytes` bytes for the lane. */
  constructor(
    kernels: Kernels,
    plan: Plan,
    job: TrainingJob,
    inputs: LaneInputs,
    { lane, data }: { readonly lane: number; readonly data: number },
  ) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#job = job;
    let at = data;
    const put = (values: Float32Array | Int32Array) => {
      const from = at;
      at += values.byteLength;
      // The bits are copied: there is one kind of numbers here.
      kernels.i32.set(new Int32Array(values.buffer, values.byteOffset, values.length), from / 4);
      return from;
    };
    const arrays = arraysOf(job.data).map(({ values, ...rest }) => ({ ...rest, from: put(values) }));
    const columns = (to: readonly number[]) => {
      const places = [...to.slice(0, job.data.inputs.length), plan.addresses.targets];
      return arrays.map(({ from, width, step }, i) => {
        return { from, width, step: step * 4, to: places[i] * LANES + lane * 4 };
      });
    };
    this.#columns = columns(inputs.training);
    this.#validColumns = columns(inputs.evaluation);
    this.#validRows = put(job.data.validRows);
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
    this.#copy(this.#columns, this.#rows + begin * 4, end - begin);
  }

  /** Copies rows begin..end of those that validate. */
  gatherValid(begin: number, end: number): void {
    this.#copy(this.#validColumns, this.#validRows + begin * 4, end - begin);
  }

  #copy(columns: readonly Column[], rows: number, count: number): void {
    for (const { to, from, width, step } of columns) this.#kernels.pack_gather(to, from, rows, count, width, step);
  }
}

/** The bytes of a job's data and of the numbers of its rows. */
export function laneBytes({ data }: TrainingJob): number {
  const rows = data.trainRows.byteLength + data.validRows.byteLength;
  return arraysOf(data).reduce((sum, { values }) => sum + values.byteLength, rows);
}

/** The inputs and the targets. */
function arraysOf(data: TrainingData): Rows[] {
  const { inputs, targets, targetShape } = data;
  return [
    ...inputs.map(({ values, shape, step = size(shape) }) => ({ values, width: size(shape), step })),
    { values: targets, width: size(targetShape), step: targetStep(data) },
  ];
}
