import type { Kernels } from "../../kernels/kernels.ts";
import {
  combs,
  inputAxis,
  positions,
  reading,
  span,
  taps,
  tapVectors,
  vectors,
  type Axis,
  type Comb,
  type Reading,
  type TapVectors,
} from "./reading.ts";
import type { Sliding } from "../sliding.ts";

/*
 * The three passes of a convolution, as products in which one side is gathered from an image.
 *
 * Let y be the convolution of x with w, on one group of channels:
 *
 *   apply      y[o, (i,j)]     = Σ over taps (c,kh,kw)    w[o, tap] · x[tap seen from (i,j)]
 *   transpose  x[c, (i,j)]     = Σ over taps (o,kh,kw)    w[o,c,kh,kw] · y[where tap meets (i,j)]
 *   correlate  w[o, (c,kh,kw)] = Σ over positions (i,j)   y[o, (i,j)] · x[tap seen from (i,j)]
 *
 * They are the output, the gradient of the input and the gradient of the weight. A transposed
 * convolution swaps the first two and hands the third its images the other way round.
 *
 * Sums run over taps and positions in ascending order, padding included; over samples block by
 * block. With a stride of s only every s-th tap meets a given place of x: `transpose` does the
 * places that the same taps meet together, and never multiplies by the zeros between.
 *
 * A convolution over sequences is one over images of height 1.
 */

/** A convolution of x, `inputs` planes, to y, `outputs` planes. */
export interface Geometry {
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
  readonly rows: Sliding;
  readonly columns: Sliding;
}

const PANEL_BYTES = 8192;

/** Rows of a product from which on it pays to pack panels. */
const PACKED_ROWS = 5;

/** Rows of a weight's gradient up to which it does not pay to pack panels. */
const UNPACKED_ROWS = 2;

/** How far a product of few rows may go along k: one block of the arithmetic. */
const BLOCK = 256;

/** What a product of weights and an image needs to know. */
interface Work {
  readonly reading: Reading;
  readonly positions: Int32Array;
  readonly taps: Int32Array;
  /** Instead of `positions`, if the product has few rows. */
  readonly vectors: Int32Array | null;
}

/** Places of x that the same taps meet. */
interface Phase extends Work {
  /** Where the weights of an input channel lie, from its first on, in the order of the taps. */
  readonly weights: Int32Array;
  readonly rows: Comb;
  readonly columns: Comb;
}

/** Where a thread's scratch holds what: the panel lies first. */
interface Layout {
  readonly lists: number;
  readonly weights: number;
  readonly image: number;
  /** A product on its way to places that do not lie side by side. */
  readonly part: number;
  readonly end: number;
}

export class Convolution {
  readonly #kernels: Kernels;
  readonly #scratch: number;
  readonly #geometry: Geometry;
  readonly #layout: Layout;
  readonly #forward: Work;
  /** Null if panels are packed for the weight's gradient. */
  readonly #sums: TapVectors | null;
  readonly #phases: readonly Phase[];

  constructor(kernels: Kernels, geometry: Geometry, scratch: number) {
    const { inputs, outputs, groups } = geometry;
    this.#kernels = kernels;
    this.#scratch = scratch;
    this.#geometry = geometry;
    this.#layout = layout(geometry);
    this.#forward = work(forwardReading(geometry), inputs / groups, outputs / groups);
    this.#phases = phases(geometry);
    this.#sums = outputs / groups > UNPACKED_ROWS ? null : tapVectors(this.#forward.taps);
  }

  /** y of samples begin..end. `x` and `y` are the addresses of sample 0; `bias` may be 0. */
  apply(y: number, x: number, weight: number, bias: number, begin: number, end: number): void {
    const { inputs, outputs, groups } = this.#geometry;
    const { positions, taps, reading } = this.#forward;
    const rows = outputs / groups;
    this.#setLists(this.#forward.vectors ?? positions, taps);
    for (let sample = begin; sample < end; sample++) {
      const image = this.#image(reading, x, sample, inputs, 0, inputs);
      for (let group = 0; group < groups; group++) {
        const first = group * rows;
        this.#product(
          this.#forward,
          y + (sample * outputs + first) * positions.length * 4,
          weight + first * taps.length * 4,
          image + group * (inputs / groups) * reading.planeSize * 4,
          rows,
          bias === 0 ? 0 : bias + first * 4,
        );
      }
    }
  }

  /** x of samples begin..end from y. */
  transpose(x: number, y: number, weight: number, bias: number, begin: number, end: number): void {
    this.#fillGaps(x, bias, begin, end);
    for (const phase of this.#phases) {
      this.#packWeights(phase, weight);
      this.#setLists(phase.vectors ?? phase.positions, phase.taps);
      for (let sample = begin; sample < end; sample++) this.#transpose(phase, x, y, bias, sample);
    }
  }

  /** Places that no tap meets get the bias alone; so do all others until they are written. */
  #fillGaps(x: number, bias: number, begin: number, end: number): void {
    const { inputs, rows, columns } = this.#geometry;
    const size = rows.size * columns.size;
    const met = this.#phases.reduce((sum, { positions }) => sum + positions.length, 0);
    if (met === size) return;
    for (let sample = begin; sample < end; sample++)
      this.#kernels.conv_fill(x + sample * inputs * size * 4, inputs, size, bias);
  }

  #transpose(phase: Phase, x: number, y: number, bias: number, sample: number): void {
    const { inputs, outputs, groups, rows, columns } = this.#geometry;
    const { positions, taps, reading } = phase;
    const channels = inputs / groups;
    const plane = rows.size * columns.size * 4;
    const direct = positions.length === rows.size * columns.size;
    const image = this.#image(reading, y, sample, outputs, 0, outputs);
    const part = this.#scratch + this.#layout.part;
    for (let group = 0; group < groups; group++) {
      const first = group * channels;
      const to = x + (sample * inputs + first) * plane;
      this.#product(
        phase,
        direct ? to : part,
        this.#scratch + this.#layout.weights + first * taps.length * 4,
        image + group * (outputs / groups) * reading.planeSize * 4,
        channels,
        bias === 0 ? 0 : bias + first * 4,
      );
      if (direct) continue;
      this.#kernels.conv_scatter(
        to + (phase.rows.first * columns.size + phase.columns.first) * 4,
        part,
        channels,
        phase.rows.axis.count,
        phase.columns.axis.count,
        plane,
        phase.rows.step * columns.size * 4,
        phase.columns.step * 4,
      );
    }
  }

  /** Rows begin..end (y's channels) of the weight's gradient, over the first `samples` samples. */
  correlate(weight: number, y: number, x: number, begin: number, end: number, samples: number): void {
    const { inputs, outputs, groups } = this.#geometry;
    const { positions, taps, reading } = this.#forward;
    const channels = inputs / groups;
    const rows = outputs / groups;
    const groupBegin = Math.floor(begin / rows);
    const groupEnd = Math.ceil(end / rows);
    const correlate = this.#sums === null ? this.#packed() : this.#unpacked(this.#sums);
    for (let sample = 0; sample < samples; sample++) {
      const image = this.#image(reading, x, sample, inputs, groupBegin * channels, groupEnd * channels);
      for (let group = groupBegin; group < groupEnd; group++) {
        const from = Math.max(begin, group * rows);
        const to = Math.min(end, (group + 1) * rows);
        correlate(
          weight + from * taps.length * 4,
          y + (sample * outputs + from) * positions.length * 4,
          image + group * channels * reading.planeSize * 4,
          to - from,
          sample > 0 ? 1 : 0,
        );
      }
    }
  }

  /** Sets the lists for weight[rows, taps] (+)= y · image, and gives the function that does it. */
  #packed(): (weight: number, y: number, image: number, rows: number, add: number) => void {
    const { positions, taps } = this.#forward;
    const { lanes, steps } = this.#setLists(taps, positions);
    const [n, k] = [taps.length, positions.length];
    return (c, a, b, rows, add) =>
      this.#kernels.matmul_gathered(c, a, b, rows, n, k, n * 4, k * 4, 4, lanes, steps, add, 0, this.#scratch);
  }

  /** The same for few rows. */
  #unpacked({ from, to }: TapVectors): (weight: number, y: number, image: number, rows: number, add: number) => void {
    const { positions, taps } = this.#forward;
    const lists = this.#setLists(from, to);
    const steps = lists.steps + to.length * 4;
    this.#kernels.i32.set(positions, steps >>> 2);
    const [n, k] = [taps.length * 4, positions.length];
    return (c, a, b, rows, add) => {
      for (let i = 0; i < rows; i++)
        this.#kernels.conv_few_sums(c + i * n, a + i * k * 4, b, k, lists.lanes, lists.steps, from.length, steps, add);
    };
  }

  /** to[rows, positions] = weights · image (+ bias); the lists are set. */
  #product({ positions, taps, vectors }: Work, to: number, a: number, b: number, rows: number, bias: number): void {
    const n = positions.length;
    const k = taps.length;
    const lanes = this.#scratch + this.#layout.lists;
    if (vectors === null) {
      const steps = lanes + n * 4;
      this.#kernels.matmul_gathered(to, a, b, rows, n, k, n * 4, k * 4, 4, lanes, steps, 0, bias, this.#scratch);
    } else {
      const count = vectors.length / 2;
      const steps = lanes + vectors.length * 4;
      this.#kernels.conv_few(to, a, b, rows, k, n * 4, lanes, lanes + count * 4, count, steps, bias);
    }
  }

  /** Puts the two lists of a product into scratch. */
  #setLists(lanes: Int32Array, steps: Int32Array): { lanes: number; steps: number } {
    const at = this.#scratch + this.#layout.lists;
    this.#kernels.i32.set(lanes, at >>> 2);
    this.#kernels.i32.set(steps, (at >>> 2) + lanes.length);
    return { lanes: at, steps: at + lanes.length * 4 };
  }

  /** The address of a sample's planes begin..end as they are read, less that of plane 0. */
  #image(
    { window, rows, columns, planeSize, base }: Reading,
    images: number,
    sample: number,
    planes: number,
    begin: number,
    end: number,
  ): number {
    const size = rows.size * columns.size;
    const image = images + sample * planes * size * 4;
    if (window === null) return image + base;
    const to = this.#scratch + this.#layout.image;
    this.#kernels.conv_window(
      to + begin * planeSize * 4,
      image + begin * size * 4,
      end - begin,
      rows.size,
      columns.size,
      window.top,
      window.rows,
      window.left,
      window.columns,
      window.stride,
    );
    return to;
  }

  /** The weights as `transpose` reads them: for each input channel those of a phase's taps. */
  #packWeights({ weights }: Phase, weight: number): void {
    const { inputs, outputs, groups, rows, columns } = this.#geometry;
    const list = this.#scratch + this.#layout.lists;
    const kernelBytes = rows.kernel * columns.kernel * 4;
    const channels = inputs / groups;
    this.#kernels.i32.set(weights, list >>> 2);
    for (let group = 0; group < groups; group++) {
      this.#kernels.conv_gather(
        this.#scratch + this.#layout.weights + group * channels * weights.length * 4,
        weight + group * (outputs / groups) * channels * kernelBytes,
        channels,
        weights.length,
        kernelBytes,
        list,
      );
    }
  }
}

/** Bytes of scratch for one thread. */
export function scratchBytes(geometry: Geometry): number {
  return layout(geometry).end;
}

function layout(geometry: Geometry): Layout {
  const { inputs, outputs, groups, rows, columns } = geometry;
  const forward = forwardReading(geometry);
  const backward = { rows: combs(rows).map(({ axis }) => axis), columns: combs(columns).map(({ axis }) => axis) };
  const places = (axes: readonly Axis[]) => axes.reduce((most, { count }) => Math.max(most, count), 0);
  const part = places(backward.rows) * places(backward.columns);
  const taps = rows.kernel * columns.kernel * (Math.max(inputs, outputs) / groups);
  const lists = PANEL_BYTES;
  // Vectors take fewer numbers than positions, but for those that fill up the last eight. A vector
  // of taps takes two numbers.
  const weights = lists + align(Math.max(rows.count * columns.count, part) + 16 + 2 * taps);
  const image = weights + align((inputs / groups) * outputs * rows.kernel * columns.kernel);
  const copies = [
    forward.window === null ? 0 : forward.planeSize * inputs,
    length(backward.rows) * length(backward.columns) * outputs,
  ];
  const product = image + align(Math.max(...copies));
  const direct = part === rows.size * columns.size;
  return { lists, weights, image, part: product, end: product + (direct ? 0 : align((inputs / groups) * part)) };
}

/** The longest part that any of the axes reads. */
function length(axes: readonly Axis[]): number {
  return axes.reduce((most, axis) => {
    const [begin, end] = span(axis);
    return Math.max(most, end - begin);
  }, 0);
}

function forwardReading({ rows, columns }: Geometry): Reading {
  return reading(inputAxis(rows), inputAxis(columns));
}

/** A product of `rows` rows, along the taps of `channels` planes. */
function work(reading: Reading, channels: number, rows: number): Work {
  const list = taps(reading, channels);
  const few = rows < PACKED_ROWS && reading.columns.count >= 4 && list.length <= BLOCK;
  return { reading, positions: positions(reading), taps: list, vectors: few ? vectors(reading) : null };
}

function phases(geometry: Geometry): Phase[] {
  const { inputs, outputs, groups, rows, columns } = geometry;
  const channels = inputs / groups;
  return combs(rows).flatMap((row) =>
    combs(columns).map((column): Phase => {
      const perOutput = row.taps.flatMap((i) => column.taps.map((j) => i * columns.kernel + j));
      const outputSize = channels * rows.kernel * columns.kernel;
      const weights = Int32Array.from(
        { length: (outputs / groups) * perOutput.length },
        (_, i) => (Math.floor(i / perOutput.length) * outputSize + perOutput[i % perOutput.length]) * 4,
      );
      const read = reading(row.axis, column.axis);
      return { ...work(read, outputs / groups, channels), weights, rows: row, columns: column };
    }),
  );
}

/** Bytes of so many 32-bit numbers, so that what follows lies on a cache line. */
function align(count: number): number {
  return Math.ceil(count / 16) * 64;
}
