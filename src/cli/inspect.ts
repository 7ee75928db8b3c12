/** The commands that only show something: a job, a list, the service. */
import type { Client } from "../client/client.ts";
import type { PageQuery } from "../client/inputs.ts";
import type { SeriesName } from "../contract/series.ts";
import type { Page } from "../contract/wire/common.ts";
import type { Job, JobStatus, JobSummary } from "../contract/wire/job.ts";
import type { MetricSeries } from "../contract/wire/metrics.ts";
import type { ServiceStatus } from "../contract/wire/status.ts";
import { chart } from "./chart.ts";
import type { Output } from "./output.ts";

export async function show(client: Client, id: string): Promise<Output> {
  const job = await client.getJob(id);
  const { progress, spec, parent } = job;
  const facts: [string, string | null][] = [
    ["created", job.created_at],
    ["started", job.started_at],
    ["finished", job.finished_at],
    ["dataset", [spec.data.dataset ?? []].flat().join(", ") || null],
    ["optimizer", spec.optimizer.type],
    ["forked from", parent && `${parent.job_id} at step ${parent.step}`],
    ["step", `${progress.step}/${progress.total_steps} (${percent(progress.progress)})`],
    ["train_loss", figure(progress.train_loss)],
    ...Object.entries(progress.metrics).map(([name, value]): [string, string | null] => [name, figure(value)]),
    ["weights_sha256", job.result?.weights_sha256 ?? null],
    ["error", job.error?.message ?? null],
    ["remedy", job.error?.suggestion ?? null],
  ];
  const lines = facts.flatMap(([name, value]) => (value === null ? [] : [`  ${name.padEnd(16)}${value}`]));
  return { value: job, text: [`${job.id}  ${job.status}  ${job.name ?? ""}`.trimEnd(), ...lines].join("\n") };
}

/** One line on a job that has ended, and details of its end. */
export function summary({ id, status, result, error }: Job): string {
  if (result !== null) {
    const metrics = Object.entries(result.metrics).map(([name, value]) => `${name} ${figure(value) ?? "–"}`);
    const lines = [
      `${id} ${status} after ${result.steps} steps`,
      ...metrics,
      `weights_sha256 ${result.weights_sha256}`,
    ];
    return lines.join("\n  ");
  }
  if (error === null) return `${id} ${status}`;
  return [`${id} ${status}: ${error.message}`, ...(error.suggestion === null ? [] : [error.suggestion])].join("\n  ");
}

export async function jobs(client: Client, query: PageQuery & { status?: JobStatus[] }): Promise<Output> {
  const row = ({ id, status, progress, name, created_at }: JobSummary) =>
    [id, status.padEnd(10), percent(progress.progress).padStart(5), created_at, name ?? ""].join("  ");
  return listed(await client.listJobs(query), row, "There are no jobs.");
}

export async function datasets(client: Client, query: PageQuery): Promise<Output> {
  const page = await client.listDatasets(query);
  const none = "There are no datasets.";
  return listed(
    page,
    ({ id, rows, columns, bytes, created_at, name }) =>
      [id, `${rows} rows`, `${columns.length} columns`, sizeOf(bytes), created_at, name ?? ""].join("  "),
    none,
  );
}

export async function events(client: Client, id: string, query: PageQuery): Promise<Output> {
  return listed(
    await client.listEvents(id, query),
    (event) => [event.id, event.created_at, `run ${event.run}`, event.type, event.message].join("  "),
    "There are no further events.",
  );
}

function listed<T>(page: Page<T>, row: (item: T) => string, none: string): Output {
  const rows = page.data.map((item) => row(item).trimEnd());
  const more = page.has_more ? [`… and more: --after ${page.next}`] : [];
  return { value: page, text: [...rows, ...more].join("\n") || none };
}

/** The curves of a job, as a table with tabs or as a drawing. */
export async function metrics(
  client: Client,
  id: string,
  options: { names?: SeriesName[]; points: number; chart?: boolean },
): Promise<Output> {
  const value = await client.getMetrics(id, { names: options.names, max_points: options.points });
  const { stdout } = process;
  const drawing = { columns: stdout.columns ?? 80, colored: stdout.isTTY && stdout.hasColors() };
  const text = options.chart ? chart(value.series, drawing).trim() : tableOf(value);
  return { value, text: text === "" ? "There are no metrics yet." : text };
}

function tableOf({ series }: MetricSeries): string {
  const names = Object.keys(series);
  if (names.length === 0) return "";
  const rows = new Map<number, string[]>();
  for (const [column, name] of names.entries()) {
    const { steps, values } = series[name];
    for (const [i, step] of steps.entries()) {
      const row = rows.get(step) ?? names.map(() => "");
      rows.set(step, row);
      row[column] = values[i] === null ? "" : String(values[i]);
    }
  }
  const sorted = [...rows].sort(([a], [b]) => a - b);
  return [["step", ...names], ...sorted.map(([step, row]) => [step, ...row])].map((row) => row.join("\t")).join("\n");
}

export async function diagnosis(client: Client, id: string): Promise<Output> {
  const value = await client.getDiagnosis(id);
  const findings = value.findings.map(({ step, detector, message, remedy }) =>
    [`step ${step}, ${detector}: ${message}`, remedy].join("\n  "),
  );
  return { value, text: [value.summary, ...findings].join("\n") };
}

export async function status(client: Client): Promise<Output> {
  const value = await client.getStatus();
  return { value, text: overview(value) };
}

function overview({ workers, jobs: counts, queue, store }: ServiceStatus): string {
  const present = Object.entries(counts).filter(([, count]) => count > 0);
  const oldest = queue.oldest_seconds === null ? "" : `, the oldest for ${Math.round(queue.oldest_seconds)} s`;
  const taken = sizeOf(store.used_bytes + store.reserved_bytes);
  return [
    `jobs     ${present.map(([name, count]) => `${count} ${name}`).join(", ") || "none"}`,
    `queue    ${queue.waiting + queue.delayed} wait${oldest}`,
    `store    ${taken} taken${store.limit_bytes === null ? "" : ` of ${sizeOf(store.limit_bytes)}`}${store.full ? ", full" : ""}`,
    ...workers.map(({ host, pid, threads, jobs: { running, max }, draining }) =>
      [
        `worker   ${host} (process ${pid})`,
        `${running} of ${max} jobs`,
        `${threads.busy} of ${threads.total} threads${draining ? ", draining" : ""}`,
      ].join("  "),
    ),
    ...(workers.length === 0 ? ["worker   none"] : []),
  ].join("\n");
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

function sizeOf(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Number((bytes / 1024 ** power).toPrecision(3))} ${UNITS[power]}`;
}

function percent(share: number): string {
  return `${Math.floor(100 * share)} %`;
}

function figure(value: number | null | undefined): string | null {
  return value == null ? null : value.toPrecision(4);
}
