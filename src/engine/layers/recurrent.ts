import type { Kernels } from "../kernels/kernels.ts";
import type { Description, Options } from "../member/options.ts";
import {
  defineLayer,
  type Layer,
  type LayerPlace,
  type LayerShape,
  type LayerType,
  type ParameterShape,
  type Value,
} from "./layer.ts";

/*
 * One pass over time in one direction, by one layer of units: what `rnn`, `lstm` and `gru` are made
 * of (recurrent-stack.ts). They differ in their cell: what a time step makes of the gates' sums.
 *
 * Time runs within a thread's samples, and a time step is done for many of them at once. Its
 * product h·W_hhᵀ then has a row for each sample, and W_hh is packed once for all steps. What need
 * not wait for the step before is one product over samples and times: the input's share of the
 * gates, the gradient of the input and, over the whole batch, those of the weights.
 *
 * Each sample keeps a row for each time. It begins with the gates and ends with the states from
 * before the step, so that the gradient of either weight is one product over (sample, time) in
 * ascending order, whatever the direction is and whether h_0 is given. The backward pass replaces
 * the gates by the gradients of their sums.
 */
export interface Cell {
  /** The weights have so many rows for each unit. */
  readonly gates: number;
  /** Floats of each unit in the row of a time. */
  readonly slots: number;
  /**
   * The slot with the gradient of the last gate's sum over the states. Those of the other gates'
   * sums are the same as over the input.
   */
  readonly lastGateSlot: number;
  /** What passes from step to step beside the states: cells, or a part of the states' gradient. */
  readonly beside: "cells" | "gradient" | null;
  readonly bind: (kernels: Kernels, nonlinearity: string) => CellKernels;
}

export interface CellKernels {
  readonly forward: (step: Step) => void;
  readonly backward: (step: Step) => void;
}

/** One time step of some samples. Every address is the first sample's; strides are in bytes. */
export interface Step {
  row: number;
  rowStride: number;
  /** The gates' sums over the states, or their gradients: [samples, gates × hidden]. */
  gates: number;
  /** The states or their gradient: [samples, hidden]. */
  h: number;
  /** What passes from step to step beside them: [samples, hidden]. */
  c: number;
  /** The states after the step in the output, or their gradient. */
  y: number;
  /** The cells there, likewise; 0 if the output has none. */
  cells: number;
  yStride: number;
  samples: number;
  hidden: number;
}

interface PassOptions {
  readonly hidden_size: number;
  readonly layer: number;
  readonly reverse: boolean;
  readonly bias: boolean;
  readonly cells: boolean;
  readonly nonlinearity: string;
}

/** Samples that take a time step at once. */
const SAMPLES = 48;

/** Rows of a product over samples and times: what they read and write stays in the cache. */
const ROWS = 48;

/** Scratch of `matmul`. */
const PANEL_BYTES = 8192;

const options = {
  hidden_size: { kind: "integer", min: 1, doc: "Number of units." },
  layer: { kind: "integer", default: 0, min: 0, doc: "The layer's number in its stack." },
  reverse: { kind: "boolean", default: false, doc: "Whether to go from the last time to the first." },
  bias: { kind: "boolean", default: true, doc: "Whether to add learned biases." },
  cells: { kind: "boolean", default: false, doc: "Whether the cells follow the states in the output." },
  nonlinearity: {
    kind: "choice",
    choices: ["tanh", "relu"],
    default: "tanh",
    doc: "The function of a plain net's sums.",
  },
} as const satisfies Options;

/** Declares a pass: it takes the sequence and, or else they are 0, h_0 and c_0 of `hidden_size`. */
export function definePass(type: string, cell: Cell): LayerType<typeof options> {
  const description: Omit<Description, "options"> = {
    type,
    summary: "One direction of one layer of a recurrent net.",
    formula: "",
    source: "",
  };
  return defineLayer({
    ...description,
    internal: true,
    options,
    needs: { backward: ["saved"], gradient: ["input", "saved"] },
    preparesGradient: true,
    shape: (given, inputs) => passShape(cell, given, inputs),
    create: (kernels, given, place) => new Pass(kernels, cell, given, place),
  });
}

function passShape(
  cell: Cell,
  { hidden_size: hidden, ...options }: PassOptions,
  [{ shape }]: readonly Value[],
): LayerShape {
  const [time, inputs] = shape;
  const rows = cell.gates * hidden;
  const suffix = `_l${options.layer}${options.reverse ? "_reverse" : ""}`;
  const initializer = { distribution: "uniform", bound: 1 / Math.sqrt(hidden) } as const;
  const parameter = (name: string, columns: number | null): ParameterShape => ({
    name: name + suffix,
    shape: columns === null ? [rows] : [rows, columns],
    initializer,
    rowCost: time * (columns ?? 1),
  });
  const weights = [parameter("weight_ih", inputs), parameter("weight_hh", hidden)];
  const biases = [parameter("bias_ih", null), parameter("bias_hh", null)];
  const packed = packedBytes(rows, inputs) + packedBytes(rows, hidden);
  return {
    output: [time, options.cells ? 2 * hidden : hidden],
    parameters: options.bias ? [...weights, ...biases] : weights,
    saved: time * cell.slots * hidden,
    scratch: PANEL_BYTES + packed + SAMPLES * (rows + 2 * hidden) * 4,
  };
}

/** Bytes of a packed matrix, whichever of its sides the product runs along. */
function packedBytes(rows: number, columns: number): number {
  const whole = (length: number) => Math.ceil(length / 4) * 4;
  return Math.max(rows * whole(columns), whole(rows) * columns) * 4;
}

class Pass implements Layer {
  readonly #kernels: Kernels;
  readonly #cell: Cell;
  readonly #cellKernels: CellKernels;
  readonly #place: LayerPlace;
  readonly #cells: boolean;
  readonly #time: number;
  readonly #inputs: number;
  readonly #hidden: number;
  /** Rows of the weights: gates × hidden. */
  readonly #gates: number;
  readonly #rowBytes: number;
  /** The times in the order in which the pass goes. */
  readonly #times: readonly number[];
  readonly #inputPanels: number;
  readonly #statePanels: number;
  readonly #step: Step;

  constructor(kernels: Kernels, cell: Cell, { hidden_size: hidden, ...options }: PassOptions, place: LayerPlace) {
    const [time, inputs] = place.inputs[0].shape;
    const gates = cell.gates * hidden;
    this.#kernels = kernels;
    this.#cell = cell;
    this.#cellKernels = cell.bind(kernels, options.nonlinearity);
    this.#place = place;
    this.#cells = options.cells;
    this.#time = time;
    this.#inputs = inputs;
    this.#hidden = hidden;
    this.#gates = gates;
    this.#rowBytes = cell.slots * hidden * 4;
    const times = Array.from({ length: time }, (_, t) => t);
    this.#times = options.reverse ? times.reverse() : times;
    this.#inputPanels = place.scratch + PANEL_BYTES;
    this.#statePanels = this.#inputPanels + packedBytes(gates, inputs);
    const dense = this.#statePanels + packedBytes(gates, hidden);
    this.#step = {
      row: 0,
      rowStride: time * this.#rowBytes,
      gates: dense,
      h: dense + SAMPLES * gates * 4,
      c: dense + SAMPLES * (gates + hidden) * 4,
      y: 0,
      cells: 0,
      yStride: place.output.size * 4,
      samples: 0,
      hidden,
    };
  }

  forward([weightIh, weightHh, biasIh = 0, biasHh = 0]: readonly number[], begin: number, end: number): void {
    const { inputs, output, saved } = this.#place;
    const [x, h0, c0] = inputs;
    const [gates, hidden, width] = [this.#gates, this.#hidden, this.#inputs];
    this.#kernels.pack_panels(this.#inputPanels, weightIh, gates, width, width * 4, 1);
    this.#product(saved, this.#rowBytes, gates, x.address, width * 4, width, biasIh, begin, end);
    this.#kernels.pack_panels(this.#statePanels, weightHh, gates, hidden, hidden * 4, 1);
    for (let first = begin; first < end; first += SAMPLES) {
      const step = this.#begin(first, end, h0?.address, c0?.address);
      for (const t of this.#times) {
        const { samples, h } = step;
        this.#kernels.matmul_packed(
          step.gates,
          h,
          this.#statePanels,
          samples,
          gates,
          hidden,
          gates * 4,
          hidden * 4,
          4,
          biasHh,
        );
        this.#moveTo(t, first, output.address);
        this.#cellKernels.forward(step);
      }
    }
  }

  backward([weightIh, weightHh]: readonly number[], begin: number, end: number): void {
    const { inputs, output, saved } = this.#place;
    const [x, h0, c0] = inputs;
    const [gates, hidden, width] = [this.#gates, this.#hidden, this.#inputs];
    this.#kernels.pack_panels(this.#statePanels, weightHh, hidden, gates, hidden * 4, 0);
    for (let first = begin; first < end; first += SAMPLES) {
      const step = this.#begin(first, end);
      for (let i = this.#time - 1; i >= 0; i--) {
        this.#moveTo(this.#times[i], first, output.gradient);
        this.#cellKernels.backward(step);
        this.#kernels.matmul_packed(
          step.h,
          step.gates,
          this.#statePanels,
          step.samples,
          hidden,
          gates,
          hidden * 4,
          gates * 4,
          4,
          0,
        );
      }
      this.#end(first, h0?.gradient, c0?.gradient);
    }
    if (x.gradient === 0) return;
    this.#kernels.pack_panels(this.#inputPanels, weightIh, width, gates, width * 4, 0);
    this.#product(x.gradient, width * 4, width, saved, this.#rowBytes, gates, 0, begin, end);
  }

  gradient(parameter: number, begin: number, end: number, samples: number): void {
    const { saved } = this.#place;
    const isRecurrent = parameter % 2 === 1;
    const lastGate = this.#gates - this.#hidden;
    const shift = (this.#cell.lastGateSlot - this.#cell.gates + 1) * this.#hidden * 4;
    if (!isRecurrent || shift === 0) this.#gradientRows(parameter, begin, end, samples, saved);
    else {
      if (begin < lastGate) this.#gradientRows(parameter, begin, Math.min(end, lastGate), samples, saved);
      if (end > lastGate) this.#gradientRows(parameter, Math.max(begin, lastGate), end, samples, saved + shift);
    }
  }

  /** Rows of a parameter's gradient, from the gradients of their sums at `sums`. */
  #gradientRows(parameter: number, begin: number, end: number, samples: number, sums: number): void {
    const { inputs, gradients, saved, scratch } = this.#place;
    const rows = samples * this.#time;
    const out = gradients[parameter];
    if (parameter >= 2) {
      this.#kernels.column_sums(out, sums, this.#rowBytes, rows, begin, end);
      return;
    }
    const ofInput = parameter === 0;
    const columns = ofInput ? this.#inputs : this.#hidden;
    const from = ofInput ? inputs[0].address : saved + this.#rowBytes - this.#hidden * 4;
    const fromRow = ofInput ? columns * 4 : this.#rowBytes;
    this.#kernels.matmul(
      out + begin * columns * 4,
      sums + begin * 4,
      from,
      end - begin,
      columns,
      rows,
      columns * 4,
      4,
      this.#rowBytes,
      fromRow,
      0,
      0,
      scratch,
    );
  }

  /** C = A · B over all times of samples begin..end, with the B that is packed in `inputPanels`. */
  #product(
    c: number,
    cRow: number,
    n: number,
    a: number,
    aRow: number,
    k: number,
    bias: number,
    begin: number,
    end: number,
  ): void {
    const last = end * this.#time;
    for (let row = begin * this.#time; row < last; row += ROWS) {
      const m = Math.min(ROWS, last - row);
      this.#kernels.matmul_packed(c + row * cRow, a + row * aRow, this.#inputPanels, m, n, k, cRow, aRow, 4, bias);
    }
  }

  /** Sets the step up for samples first.. with the states and cells at these addresses, or 0. */
  #begin(first: number, end: number, h = 0, c = 0): Step {
    const step = this.#step;
    step.samples = Math.min(SAMPLES, end - first);
    const count = step.samples * this.#hidden;
    const { f32 } = this.#kernels;
    for (const [to, from] of [
      [step.h >>> 2, h],
      [step.c >>> 2, c],
    ]) {
      const start = (from >>> 2) + first * this.#hidden;
      if (from === 0) f32.fill(0, to, to + count);
      else f32.copyWithin(to, start, start + count);
    }
    return step;
  }

  /** Writes the gradients of h_0 and c_0 where they are wanted. */
  #end(first: number, h = 0, c = 0): void {
    const { f32, add } = this.#kernels;
    const { samples, h: dh, c: dc } = this.#step;
    const count = samples * this.#hidden;
    if (this.#cell.beside === "gradient") add(dh, dc, count);
    for (const [from, to] of [
      [dh >>> 2, h],
      [dc >>> 2, c],
    ])
      if (to !== 0) f32.copyWithin((to >>> 2) + first * this.#hidden, from, from + count);
  }

  /** Moves the step to time t of samples first.., with the output or its gradient at `output`. */
  #moveTo(t: number, first: number, output: number): void {
    const { saved, output: place } = this.#place;
    const step = this.#step;
    step.row = saved + (first * this.#time + t) * this.#rowBytes;
    step.y = output + first * step.yStride + t * place.shape[1] * 4;
    step.cells = this.#cells ? step.y + this.#hidden * 4 : 0;
  }
}
