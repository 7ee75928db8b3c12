import { plot } from "simple-ascii-chart";
import type { MetricSeries, Series } from "../spec/wire.ts";

const HEIGHT = 8;
/** What the axis and its numbers take beside the plot. */
const MARGIN = 12;
const TICKS = 5;

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

function pointsOf({ steps, values }: Series): [number, number][] {
  return steps.flatMap((step, i) => {
    const value = values[i];
    return value === null ? [] : [[step, value] as [number, number]];
  });
}
