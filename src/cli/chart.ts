import { plot } from "simple-ascii-chart";
import type { MetricSeries, Series } from "../spec/wire.ts";

const HEIGHT = 8;
/** What the axis and its numbers take beside the plot. */
const MARGIN = 12;
const TICKS = 5;
const MAX_POINTS = 60;

/** The losses of a job over its steps, in at most `columns` columns; nothing as long as there is no curve to draw. */
export function lossChart({ series }: MetricSeries, columns: number): string {
  const curves = (["train_loss", "valid_loss"] as const).flatMap((name) => {
    const points = series[name] === undefined ? [] : pointsOf(series[name]);
    return points.length > 1 ? [{ name, points }] : [];
  });
  if (curves.length === 0) return "";
  const steps = curves.flatMap(({ points }) => points.map(([step]) => step));
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  return plot(
    curves.map(({ points }) => points),
    {
      width: Math.max(20, Math.min(columns, 100) - MARGIN),
      height: HEIGHT,
      color: ["ansiCyan", "ansiYellow"],
      legend: { position: "bottom", series: curves.map(({ name }) => name) },
      customXAxisTicks: Array.from({ length: TICKS }, (_, i) => Math.round(first + ((last - first) * i) / (TICKS - 1))),
      formatter: (value) => Number(value.toPrecision(3)),
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
