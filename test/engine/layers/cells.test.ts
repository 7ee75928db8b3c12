/*
 * One time step of each kind of recurrent layer, and the same step backward, held to the reference
 * beside the kernel.
 */
import { describe, expect, it } from "vitest";
import type { Kernels } from "../../../src/engine/kernels/kernels.ts";
import * as gru from "../../../src/engine/layers/gru/reference.ts";
import * as lstm from "../../../src/engine/layers/lstm/reference.ts";
import type { CellReference } from "../../../src/engine/layers/recurrent.reference.ts";
import * as rnn from "../../../src/engine/layers/rnn/reference.ts";
import { expectClose } from "../../support/golden.ts";
import { Bench } from "../../support/kernels.ts";

/** What a step reads and writes: addresses, and strides in bytes. */
interface Step {
  readonly row: number;
  readonly rowStride: number;
  readonly gates: number;
  readonly h: number;
  readonly c: number;
  readonly y: number;
  readonly cells: number;
  readonly yStride: number;
  readonly samples: number;
  readonly hidden: number;
}

interface Kind {
  readonly name: string;
  readonly reference: CellReference;
  readonly gates: number;
  /** Floats of each unit in a row. */
  readonly slots: number;
  /** Whether `c` comes into the states' gradient as a part of it (else it is the cells' own). */
  readonly direct: boolean;
  readonly nonlinearity: string;
  readonly forward: (kernels: Kernels, step: Step) => void;
  readonly backward: (kernels: Kernels, step: Step) => void;
}

const plain = (nonlinearity: string, relu: number): Kind => ({
  name: nonlinearity,
  reference: rnn,
  gates: 1,
  slots: 2,
  direct: false,
  nonlinearity,
  forward: (kernels, s) =>
    kernels.rnn_forward(s.row, s.rowStride, s.gates, s.h, s.y, s.yStride, s.samples, s.hidden, relu),
  backward: (kernels, s) =>
    kernels.rnn_backward(s.row, s.rowStride, s.y, s.yStride, s.h, s.gates, s.samples, s.hidden, relu),
});

const kinds: readonly Kind[] = [
  plain("tanh", 0),
  plain("relu", 1),
  {
    name: "gru",
    reference: gru,
    gates: 3,
    slots: 5,
    direct: true,
    nonlinearity: "",
    forward: (kernels, s) => kernels.gru_forward(s.row, s.rowStride, s.gates, s.h, s.y, s.yStride, s.samples, s.hidden),
    backward: (kernels, s) =>
      kernels.gru_backward(s.row, s.rowStride, s.y, s.yStride, s.h, s.c, s.gates, s.samples, s.hidden),
  },
  {
    name: "lstm",
    reference: lstm,
    gates: 4,
    slots: 6,
    direct: false,
    nonlinearity: "",
    forward: (kernels, s) =>
      kernels.lstm_forward(s.row, s.rowStride, s.gates, s.h, s.c, s.y, s.cells, s.yStride, s.samples, s.hidden),
    backward: (kernels, s) =>
      kernels.lstm_backward(s.row, s.rowStride, s.y, s.cells, s.yStride, s.h, s.c, s.gates, s.samples, s.hidden),
  },
];

const UNTOUCHED = -12345;
/** Floats of another sample's between two rows of `row` and of `y`. */
const GAP = 3;

function numbers(count: number, seed: number, scale = 2): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}

/** One step forward and one backward; inputs are drawn, or all `fill`. */
function run(kind: Kind, samples: number, hidden: number, fill: number | null = null) {
  const { gates, slots } = kind;
  const bench = new Bench();
  const rows = slots * hidden + GAP;
  const outputs = 2 * hidden + GAP;
  const drawn = (count: number, seed: number) =>
    fill === null ? numbers(count, seed) : new Float32Array(count).fill(fill);
  const input = drawn(samples * gates * hidden, 1);
  const recurrent = drawn(samples * gates * hidden, 2);
  const before = { h: drawn(samples * hidden, 3), c: drawn(samples * hidden, 4) };
  const row = bench.floats(new Float32Array(samples * rows).fill(UNTOUCHED));
  for (let s = 0; s < samples; s++) {
    const from = s * gates * hidden;
    bench.kernels.f32.set(input.subarray(from, from + gates * hidden), (row >> 2) + s * rows);
  }
  const y = bench.floats(new Float32Array(samples * outputs).fill(UNTOUCHED));
  const addresses = { row, rowStride: rows * 4, yStride: outputs * 4, samples, hidden };
  const [h, c] = [bench.floats(before.h), bench.floats(before.c)];
  kind.forward(bench.kernels, { ...addresses, gates: bench.floats(recurrent), h, c, y, cells: y + hidden * 4 });
  const states = { h: bench.bits(h, samples * hidden), c: bench.bits(c, samples * hidden) };

  const dy = drawn(samples * outputs, 5);
  const back = { h: drawn(samples * hidden, 6), c: drawn(samples * hidden, 7) };
  const [dh, dc] = [bench.floats(back.h), bench.floats(back.c)];
  const dGates = bench.reserve(samples * gates * hidden * 4);
  const gradient = bench.floats(dy);
  kind.backward(bench.kernels, {
    ...addresses,
    gates: dGates,
    h: dh,
    c: dc,
    y: gradient,
    cells: gradient + hidden * 4,
  });
  const read = (address: number, count: number) => bench.read(address, count);
  return {
    input,
    recurrent,
    before,
    dy,
    back,
    outputs: read(y, samples * outputs),
    rows: read(row, samples * rows),
    dGates: read(dGates, samples * gates * hidden),
    dc: read(dc, samples * hidden),
    bits: { ...states, rows: bench.bits(row, samples * rows), dc: bench.bits(dc, samples * hidden) },
  };
}

describe.each(kinds)("$name", (kind) => {
  const { reference, gates, slots, direct, nonlinearity } = kind;
  const sizes = [1, 3, 4, 6, 9].flatMap((hidden) => [1, 3].map((samples) => [samples, hidden] as const));

  it.each(sizes)("agrees with its reference: %i samples of %i units", (samples, hidden) => {
    const made = run(kind, samples, hidden);
    const width = 2 * hidden + GAP;
    for (let s = 0; s < samples; s++) {
      for (let unit = 0; unit < hidden; unit++) {
        const at = s * hidden + unit;
        const sums = (of: Float32Array) =>
          Array.from({ length: gates }, (_, gate) => of[(s * gates + gate) * hidden + unit]);
        const [input, recurrent] = [sums(made.input), sums(made.recurrent)];
        const before = { h: made.before.h[at], c: made.before.c[at] };
        const after = reference.forward(input, recurrent, before, { nonlinearity });
        const cells = kind.name === "lstm";
        expectClose([made.outputs[s * width + unit]], [after.h], 1e-6, "state");
        if (cells) expectClose([made.outputs[s * width + hidden + unit]], [after.c], 1e-6, "cell");

        const gradient = {
          h: made.dy[s * width + unit] + made.back.h[at] + (direct ? made.back.c[at] : 0),
          c: cells ? made.dy[s * width + hidden + unit] + made.back.c[at] : 0,
        };
        const expected = reference.backward(input, recurrent, before, gradient, { nonlinearity });
        expectClose(sums(made.dGates), expected.recurrent, 2e-6, "gradient of the recurrent sums");
        const row = s * (slots * hidden + GAP);
        const kept = expected.input.map((_, gate) => made.rows[row + gate * hidden + unit]);
        expectClose(kept, expected.input, 2e-6, "gradient of the input's sums");
        expectClose([made.rows[row + (slots - 1) * hidden + unit]], [before.h], 0, "kept state");
        if (cells || direct) {
          const back = expected.before.h + expected.before.c;
          expectClose([made.dc[at]], [back], 2e-6, "what passes by the sums");
        }
      }
    }
  });

  it("gives a sample the same bits beside others as alone, and touches nothing else", () => {
    const hidden = 5;
    const all = run(kind, 3, hidden);
    const alone = run(kind, 1, hidden).bits;
    const first = (bits: Int32Array, count: number) => bits.slice(0, count);
    expect(first(all.bits.h, hidden)).toEqual(alone.h);
    expect(first(all.bits.c, hidden)).toEqual(alone.c);
    expect(first(all.bits.rows, slots * hidden)).toEqual(first(alone.rows, slots * hidden));
    expect(first(all.bits.dc, hidden)).toEqual(alone.dc);
    for (const [values, width, used] of [
      [all.rows, slots * hidden + GAP, slots * hidden],
      [all.outputs, 2 * hidden + GAP, 2 * hidden],
    ] as const) {
      for (let s = 0; s < 3; s++) {
        expect(values.slice(s * width + used, (s + 1) * width)).toEqual(new Float32Array(GAP).fill(UNTOUCHED));
      }
    }
  });

  it("hands NaN on", () => {
    const { outputs, dGates } = run(kind, 1, 3, Number.NaN);
    expect([...outputs.slice(0, 3), ...dGates].every(Number.isNaN)).toBe(true);
  });
});
