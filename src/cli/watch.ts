/**
 * Follows a job to its end, for people: with a progress bar, and on a terminal with the curves of
 * the losses above it.
 */
import type { WriteStream } from "node:tty";
import type { Client } from "../client/client.ts";
import type { Job, Progress } from "../contract/wire/job.ts";
import { lossChart } from "./chart.ts";

/** The bar takes the room that is left. */
const MIN_BAR_WIDTH = 8;
const MAX_BAR_WIDTH = 24;
/**
 * How often the curves are fetched, and how often a line is written where nothing can be redrawn.
 */
const CHART_MS = 1000;
const LINE_MS = 2000;
const CHART_POINTS = 2000;

export async function watch(client: Client, id: string, stream: WriteStream): Promise<Job> {
  const redraws = stream.isTTY && process.env.TERM !== "dumb";
  const show = redraws ? redrawn(client, id, stream) : lines(stream);
  for await (const progress of client.watch(id)) await show(progress);
  return client.getJob(id);
}

type Show = (progress: Progress) => void | Promise<void>;

function lines(stream: WriteStream): Show {
  let shownMs = -Infinity;
  return (progress) => {
    const nowMs = performance.now();
    if (nowMs - shownMs < LINE_MS && !isLast(progress)) return;
    shownMs = nowMs;
    stream.write(`${progressLine(progress)}\n`);
  };
}

function redrawn(client: Client, id: string, stream: WriteStream): Show {
  let chart = "";
  let chartMs = -Infinity;
  let height = 0;
  return async (progress) => {
    const nowMs = performance.now();
    if (nowMs - chartMs >= CHART_MS || isLast(progress)) {
      chartMs = nowMs;
      const metrics = await client.getMetrics(id, { names: ["train_loss", "valid_loss"], max_points: CHART_POINTS });
      chart = lossChart(metrics.series, { columns: stream.columns, colored: stream.hasColors() });
    }
    // A line that wraps would not be erased completely.
    const block = `${chart}${progressLine(progress, stream.columns - 1).slice(0, stream.columns - 1)}\n`;
    stream.moveCursor(0, -height);
    stream.clearScreenDown();
    stream.write(block);
    height = block.split("\n").length - 1;
  };
}

function isLast({ status }: Progress): boolean {
  return ["succeeded", "failed", "cancelled"].includes(status);
}

function progressLine(progress: Progress, columns = Infinity): string {
  const { valid_accuracy: accuracy, valid_r2: r2 } = progress.metrics;
  const figures = [
    `loss ${fixed(progress.train_loss)}`,
    r2 === undefined ? `validation accuracy ${fixed(accuracy)}` : `validation R² ${fixed(r2)}`,
    ...(progress.samples_per_second === null
      ? []
      : [`${Math.round(progress.samples_per_second).toLocaleString("en")} samples/s`]),
    ...(progress.eta_seconds === null ? [] : [`ETA ${Math.ceil(progress.eta_seconds)} s`]),
    ...(progress.status === "running" ? [] : [progress.status]),
  ].join("  ");
  const steps = `step ${progress.step}/${progress.total_steps}`;
  const room = columns - steps.length - figures.length - " || ".length;
  return `${steps} |${bar(progress.progress, Math.max(MIN_BAR_WIDTH, Math.min(room, MAX_BAR_WIDTH)))}| ${figures}`;
}

function bar(share: number, width: number): string {
  const done = Math.round(width * share);
  return "█".repeat(done) + "░".repeat(width - done);
}

function fixed(value: number | null | undefined): string {
  return value == null ? "–" : value.toFixed(4);
}
