import { plot, type Settings } from "simple-ascii-chart";
import type { MetricSeries, Series } from "../contract/wire/metrics.ts";

const HEIGHT = 8;
const TICKS = 5;
const MIN_WIDTH = 20;
/** Columns that the axis takes besides the plot and the labels. */
const AXIS_WIDTH = 4;
const MAX_POINTS = 60;

const COLORS = ["ansiCyan", "ansiYellow", "ansiMagenta", "ansiGreen", "ansiRed", "ansiBlue"] as const;
/** Letters that curves are drawn with if colours do not distinguish them. */
const MARKS = "abcdefghijklmnopqrstuvwxyz";

export interface ChartOptions {
  /** Largest width. */
  readonly columns: number;
  readonly colored: boolean;
  readonly logarithmic?: boolean;
}

type LineFormatter = NonNullable<Settings["lineFormatter"]>;

interface Curve {
  readonly name: string;
  readonly points: [number, number][];
}

/** The losses of a job over its steps; an empty string as long as there is no curve to draw. */
export function lossChart({ train_loss, valid_loss }: MetricSeries["series"], options: ChartOptions): string {
  return chart({ train_loss, valid_loss }, options);
}

/** Up to 26 curves over their steps; an empty string if there are none. */
export function chart(named: Readonly<Record<string, Series | undefined>>, options: ChartOptions): string {
  const { columns, colored, logarithmic = false } = options;
  const curves = curvesOf(named, logarithmic ? Math.log10 : (value) => value);
  if (curves.length === 0) return "";
  const [xs, ys] = [0, 1].map((axis) => curves.flatMap(({ points }) => points.map((point) => point[axis])));
  const xTicks = [...new Set(ticksOf(xs).map(Math.round))];
  const yTicks = ticksOf(ys);
  const value = (height: number) => (logarithmic ? 10 ** height : height);
  const digits = digitsFor(yTicks.map(value));
  const label = (height: number) => String(Number(value(height).toPrecision(digits)));
  // The library leaves room for the label of every point.
  const width = columns - ys.reduce((most, y) => Math.max(most, label(y).length), 0) - AXIS_WIDTH;
  const marked = !colored || curves.length > COLORS.length;
  return plot(
    curves.map(({ points }) => points),
    {
      width: Math.max(MIN_WIDTH, width),
      height: HEIGHT,
      ...(colored && !marked && { color: curves.map((_, i) => COLORS[i % COLORS.length]) }),
      ...(marked && {
        lineFormatter: marker(),
      }),
      legend: { position: "bottom", series: curves.map(({ name }, i) => (marked ? `${MARKS[i]}  ${name}` : name)) },
      customXAxisTicks: xTicks,
      customYAxisTicks: yTicks,
      formatter: (at, { axis }) => (axis === "x" ? String(at) : label(at)),
    },
  );
}

/** Marks the points of one curve after the other. `index` is that of a point in its curve. */
function marker(): LineFormatter {
  let curve = -1;
  return ({ plotX: x, plotY: y, index }) => {
    if (index === 0) curve++;
    return { x, y, symbol: MARKS[curve % MARKS.length] };
  };
}

function curvesOf(named: Readonly<Record<string, Series | undefined>>, height: (value: number) => number): Curve[] {
  return Object.entries(named).flatMap(([name, series]) => {
    const points = series === undefined ? [] : pointsOf(series);
    const drawn = points.map(([step, value]): [number, number] => [step, height(value)]);
    return points.length > 1 ? [{ name, points: drawn }] : [];
  });
}

/** Evenly spaced ticks from the smallest to the largest value. */
function ticksOf(values: readonly number[]): number[] {
  const first = values.reduce((least, value) => Math.min(least, value));
  const last = values.reduce((most, value) => Math.max(most, value));
  if (first === last) return [first];
  return Array.from({ length: TICKS }, (_, i) => first + ((last - first) * i) / (TICKS - 1));
}

/** The number of significant digits that make these values differ; at least three. */
function digitsFor(values: readonly number[]): number {
  let digits = 3;
  while (digits < 17 && new Set(values.map((value) => value.toPrecision(digits))).size < values.length) digits++;
  return digits;
}

/**
 * The points of a curve. If there are many, they are means of equal stretches, because the losses
 * of single batches vary a lot.
 */
function pointsOf({ steps, values }: Series): [number, number][] {
  const points = steps.flatMap((step, i): [number, number][] => {
    const value = values[i];
    return value === null ? [] : [[step, value]];
  });
  const length = Math.max(1, Math.ceil(points.length / MAX_POINTS));
  return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => {
    const stretch = points.slice(i * length, (i + 1) * length);
    const mean = stretch.reduce((sum, [, value]) => sum + value, 0) / stretch.length;
    return [stretch.at(-1)![0], mean];
  });
}
