import { describe, expect, it } from "vitest";
import { backward, forward, type Head } from "../../../src/engine/layers/scaled_dot_product_attention/reference.ts";
import { ATTENTION_SCRATCH_BYTES } from "../../../src/engine/layers/scaled_dot_product_attention/heads.ts";
import { expectClose } from "../../support/golden.ts";
import { Bench } from "../../support/kernels.ts";

interface Shape {
  readonly queries: number;
  readonly keys: number;
  readonly size: number;
  readonly valueSize: number;
}

interface Sight {
  readonly causal?: boolean;
  /** Which keys may be seen: one list for all queries, or one for each. */
  readonly mask?: readonly (readonly number[])[];
}

/** What the rows' gaps hold; the kernels must leave it. */
const UNTOUCHED = -12345;
/** Numbers between the end of a row and the next row. */
const GAP = 3;

/** Numbers in −2..2, the same every time. */
function numbers(count: number, seed: number): number[] {
  let state = seed + 1;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 30 - 2);
  });
}

const rowsOf = (flat: ArrayLike<number>, columns: number): number[][] =>
  Array.from({ length: flat.length / columns }, (_, i) =>
    Array.from({ length: columns }, (_, c) => flat[i * columns + c]),
  );

/** A matrix in memory whose rows lie apart. */
class Rows {
  readonly address: number;
  readonly row: number;
  readonly #bench: Bench;
  readonly #count: number;
  readonly #size: number;

  constructor(bench: Bench, values: readonly (readonly number[])[]) {
    this.#bench = bench;
    this.#count = values.length;
    this.#size = values[0].length;
    this.row = (this.#size + GAP) * 4;
    this.address = bench.floats(values.flatMap((row) => [...row, ...Array.from({ length: GAP }, () => UNTOUCHED)]));
  }

  static like(bench: Bench, { length }: readonly unknown[], size: number): Rows {
    return new Rows(
      bench,
      Array.from({ length }, () => Array.from({ length: size }, () => UNTOUCHED)),
    );
  }

  /** The numbers, after a look at the gaps. */
  read(): number[] {
    const all = rowsOf(this.#bench.read(this.address, (this.#count * this.row) / 4), this.row / 4);
    for (const row of all) expect(row.slice(this.#size)).toEqual(Array.from({ length: GAP }, () => UNTOUCHED));
    return all.flatMap((row) => row.slice(0, this.#size));
  }
}

/** Both passes by the kernels. */
function run({ q, k, v, scale }: Head, g: readonly (readonly number[])[], { causal = false, mask }: Sight) {
  const bench = new Bench(1 << 22);
  const { kernels } = bench;
  const scratch = bench.reserve(ATTENTION_SCRATCH_BYTES);
  const [size, valueSize] = [q[0].length, v[0].length];
  const at = { q: new Rows(bench, q), k: new Rows(bench, k), v: new Rows(bench, v), g: new Rows(bench, g) };
  const y = Rows.like(bench, q, valueSize);
  const [dq, dk, dv] = [Rows.like(bench, q, size), Rows.like(bench, k, size), Rows.like(bench, v, valueSize)];
  const rest = bench.reserve(q.length * 4);
  const masked = mask ? bench.integers(mask.flat()) : 0;
  const maskRow = mask && mask.length > 1 ? k.length * 4 : 0;
  const sizes = [q.length, k.length, size, valueSize, at.q.row, at.k.row, at.v.row, y.row] as const;
  const how = [scale, Number(causal), masked, maskRow, scratch] as const;
  kernels.attention_forward(at.q.address, at.k.address, at.v.address, y.address, rest, ...sizes, ...how);
  const pointers = [at.q.address, at.k.address, at.v.address, y.address, at.g.address, rest] as const;
  kernels.attention_backward(...pointers, dq.address, dk.address, dv.address, ...sizes, ...how);
  const again = Rows.like(bench, k, size);
  kernels.attention_backward(...pointers, 0, again.address, 0, ...sizes, ...how);
  expect(again.read()).toEqual(dk.read());
  return { y: y.read(), q: dq.read(), k: dk.read(), v: dv.read() };
}

function example(
  { queries, keys, size, valueSize }: Shape,
  { causal, mask }: Sight = {},
): { head: Head; g: number[][] } {
  const sees = (i: number, j: number) => (!causal || j <= i) && (!mask || mask[mask.length > 1 ? i : 0][j] !== 0);
  const [q, k] = [rowsOf(numbers(queries * size, 1), size), rowsOf(numbers(keys * size, 2), size)];
  const v = rowsOf(numbers(keys * valueSize, 3), valueSize);
  return { head: { q, k, v, scale: 1 / Math.sqrt(size), sees }, g: rowsOf(numbers(queries * valueSize, 4), valueSize) };
}

const shapes: Shape[] = [
  { queries: 1, keys: 1, size: 1, valueSize: 1 },
  { queries: 5, keys: 7, size: 3, valueSize: 3 },
  { queries: 64, keys: 64, size: 8, valueSize: 8 },
  { queries: 65, keys: 63, size: 5, valueSize: 9 },
  { queries: 63, keys: 130, size: 4, valueSize: 2 },
  { queries: 150, keys: 70, size: 12, valueSize: 12 },
];

/** Every third key is hidden, and of two in a row the first is hidden from query 1. */
const hidden = ({ queries, keys }: Shape) =>
  Array.from({ length: queries }, (_, i) => Array.from({ length: keys }, (_, j) => Number((i + j) % 3 !== 0)));

describe("attention", () => {
  it.each(shapes)("agrees with its reference: %o", (shape) => {
    const mask = hidden(shape);
    const sights: Sight[] = [{}, { causal: true }, { mask: [mask[0]] }, { mask }, { causal: true, mask }];
    for (const sight of sights) {
      const { head, g } = example(shape, sight);
      const result = run(head, g, sight);
      const gradients = backward(head, g);
      expectClose(result.y, forward(head).flat(), 1e-6, "output");
      expectClose(result.q, gradients.q.flat(), 3e-6, "gradient of q");
      expectClose(result.k, gradients.k.flat(), 3e-6, "gradient of k");
      expectClose(result.v, gradients.v.flat(), 3e-6, "gradient of v");
    }
  });

  it("has the right gradients by differences", () => {
    const { head, g } = example({ queries: 4, keys: 5, size: 3, valueSize: 2 }, { causal: true });
    const loss = () => forward(head).reduce((sum, row, i) => sum + row.reduce((all, y, c) => all + y * g[i][c], 0), 0);
    const gradients = backward(head, g);
    for (const name of ["q", "k", "v"] as const) {
      const rows = head[name] as number[][];
      const slopes = rows.map((row) =>
        row.map((value, c) => {
          const at = (x: number) => {
            row[c] = x;
            return loss();
          };
          const slope = (at(value + 1e-5) - at(value - 1e-5)) / 2e-5;
          row[c] = value;
          return slope;
        }),
      );
      expectClose(gradients[name].flat(), slopes.flat(), 1e-8, name);
    }
  });

  it("takes a scale of any sign, and scores of any size", () => {
    const { head, g } = example({ queries: 70, keys: 70, size: 4, valueSize: 4 });
    for (const scale of [-0.5, 0, 300]) {
      const scaled = { ...head, scale };
      const sight = { mask: [hidden({ queries: 1, keys: 70, size: 4, valueSize: 4 })[0]] };
      const { y } = run(scaled, g, sight);
      expectClose(y, forward({ ...scaled, sees: (_, j) => sight.mask[0][j] !== 0 }).flat(), 2e-5, `scale ${scale}`);
    }
  });

  it("gives 0 to a query that sees nothing, and no gradient", () => {
    const { head, g } = example({ queries: 3, keys: 66, size: 4, valueSize: 4 });
    const mask = [1, 0, 1].map((seen) => Array.from({ length: 66 }, () => seen));
    const { y, q } = run(head, g, { mask });
    expect(y.slice(4, 8)).toEqual([0, 0, 0, 0]);
    expect(q.slice(4, 8)).toEqual([0, 0, 0, 0]);
    expect(y.slice(0, 4)).not.toContain(0);
  });

  it("hands NaN on to those who see it, and to nobody else", () => {
    const { head, g } = example({ queries: 80, keys: 80, size: 4, valueSize: 4 }, { causal: true });
    (head.k[70] as number[])[1] = Number.NaN;
    const { y } = run(head, g, { causal: true });
    expect(y.slice(0, 70 * 4).some(Number.isNaN)).toBe(false);
    expect(y.slice(70 * 4).every(Number.isNaN)).toBe(true);
  });
});
