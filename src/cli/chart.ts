import { plot } from "simple-ascii-chart";
import type { MetricSeries, Series } from "../spec/wire.ts";

const HEIGHT = 8;
/** What the axis and its numbers take beside the plot. */
const MARGIN = 12;
const TICKS = 5;
const MAX_POINTS = 60;

const COLORS = ["ansiCyan", "ansiYellow", "ansiMagenta", "ansiGreen", "ansiRed"] as const;

/** The losses of a job over its steps, in at most `columns` columns; nothing as long as there is no curve to draw. */
export function lossChart({ series }: MetricSeries, columns: number): string {
  const { train_loss, valid_loss } = series;
  return chart({ train_loss, valid_loss }, columns);
}

/** Up to five curves over their steps, likewise. */
export function chart(
  named: Readonly<Record<string, Series | undefined>>,
  columns: number,
  { logarithmic = false }: { readonly logarithmic?: boolean } = {},
): string {
  const curves = Object.entries(named).flatMap(([name, series]) => {
    const points = series === undefined ? [] : pointsOf(series);
    return points.length > 1 ? [{ name, points }] : [];
  });
  if (curves.length === 0) return "";
  const steps = curves.flatMap(({ points }) => points.map(([step]) => step));
  const first = steps.reduce((least, step) => Math.min(least, step));
  const last = steps.reduce((greatest, step) => Math.max(greatest, step));
  const height = (value: number) => (logarithmic ? Math.log10(value) : value);
  const value = (height: number) => (logarithmic ? 10 ** height : height);
  return plot(
    curves.map(({ points }) => points.map(([step, value]): [number, number] => [step, height(value)])),
    {
      width: Math.max(20, Math.min(columns, 100) - MARGIN),
      height: HEIGHT,
      color: [...COLORS],
      legend: { position: "bottom", series: curves.map(({ name }) => name) },
      customXAxisTicks: Array.from({ length: TICKS }, (_, i) => Math.round(first + ((last - first) * i) / (TICKS - 1))),
      formatter: (at, { axis }) => Number((axis === "x" ? at : value(at)).toPrecision(3)),
    },
  );
}

/** A curve's points; of many, the means of equal stretches, since the loss of single batches jumps about. */
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
