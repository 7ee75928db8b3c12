/*
 * Tables computed by a formula, for trying things out. Their numbers are the same on every machine,
 * because they come from Philox and from the kernels' own functions.
 *
 * The points of a table are spread evenly along its curves and then shuffled, so that any split of
 * the rows has points of every class and of every stretch. `noise` is the standard deviation of a
 * normal number. It is added to each feature if the target is a class, and to the target if it is a
 * number.
 */
import { functionKernels, type Kernels } from "../engine/kernels/kernels.ts";
import { normalPair, PURPOSE, randomWords, shuffle } from "../engine/kernels/random.ts";

export const SYNTHETIC_TYPES = ["two_moons", "spirals", "sine", "linear"] as const;

export interface Synthetic {
  readonly type: (typeof SYNTHETIC_TYPES)[number];
  readonly rows: number;
  readonly noise: number;
  readonly seed: number;
}

/**
 * Gives the numbers of one row. `share` runs evenly over [0, 1] within a class. `normal` gives
 * normal numbers that belong to the row.
 */
type Point = (
  functions: Functions,
  share: number,
  label: number,
  noise: number,
  normal: (index: number) => number,
) => number[];

interface Functions {
  cos(x: number): number;
  sin(x: number): number;
}

interface Shape {
  readonly columns: readonly string[];
  /** 1 if the target is a number. */
  readonly classes: number;
  readonly point: Point;
}

/** The column that holds the class, where there are classes. */
export const CLASS_COLUMN = "target";

/** The coefficients of `linear`. */
const WEIGHTS = [2, -3, 0.5];
const BIAS = 1;

const shapes: Record<Synthetic["type"], Shape> = {
  /** Two half circles that reach into each other, like scikit-learn's `make_moons`. */
  two_moons: {
    columns: ["x0", "x1", "target"],
    classes: 2,
    point({ cos, sin }, share, label, noise, normal) {
      const [x, y] = [cos(Math.PI * share), sin(Math.PI * share)];
      const [x0, x1] = label === 0 ? [x, y] : [1 - x, 0.5 - y];
      return [x0 + noise * normal(0), x1 + noise * normal(1), label];
    },
  },
  /**
   * Two arms that wind one and a half times around the origin, half a turn apart, up to radius 1.
   */
  spirals: {
    columns: ["x0", "x1", "target"],
    classes: 2,
    point({ cos, sin }, share, label, noise, normal) {
      // The radius is never 0, because the arms would meet in the origin.
      const radius = 0.05 + 0.95 * share;
      const angle = Math.PI * (3 * radius + label);
      return [radius * cos(angle) + noise * normal(0), radius * sin(angle) + noise * normal(1), label];
    },
  },
  /** target = sin(x0), x0 from −π to π. */
  sine: {
    columns: ["x0", "target"],
    classes: 1,
    point({ sin }, share, _label, noise, normal) {
      const x0 = Math.PI * (2 * share - 1);
      return [x0, sin(x0) + noise * normal(0)];
    },
  },
  /** target = 1 + 2 x0 − 3 x1 + 0.5 x2, the features standard normal. */
  linear: {
    columns: ["x0", "x1", "x2", "target"],
    classes: 1,
    point(_functions, _share, _label, noise, normal) {
      const features = WEIGHTS.map((_, i) => normal(i));
      const exact = WEIGHTS.reduce((sum, weight, i) => sum + weight * features[i], BIAS);
      return [...features, exact + noise * normal(WEIGHTS.length)];
    },
  },
};

export function syntheticColumns({ type }: Synthetic): { names: readonly string[]; classes: number } {
  const { columns, classes } = shapes[type];
  return { names: columns, classes };
}

export function syntheticTable({ type, rows, noise, seed }: Synthetic): {
  columns: readonly string[];
  rows: number[][];
} {
  const { columns, classes, point } = shapes[type];
  const kernels = functionKernels();
  const functions = { cos: kernels.cos, sin: (x: number) => kernels.cos(x - Math.PI / 2) };
  const order = Int32Array.from({ length: rows }, (_, row) => row);
  shuffle(order, seed, 0, PURPOSE.synthesize);
  const made = Array.from(order, (place) => {
    const label = place % classes;
    const last = Math.floor((rows - 1 - label) / classes);
    const share = last === 0 ? 0 : Math.floor(place / classes) / last;
    return point(functions, share, label, noise, (index) => normalOf(kernels, seed, place, index));
  });
  return { columns, rows: made };
}

/**
 * The normal number `index` of a row. It comes from stream 1 of Philox, because the shuffle uses
 * stream 0.
 */
function normalOf(kernels: Kernels, seed: number, place: number, index: number): number {
  const words = randomWords(seed, PURPOSE.synthesize, 1, index >>> 2, place);
  const at = index & 2;
  return normalPair(words[at], words[at + 1], kernels)[index & 1];
}
