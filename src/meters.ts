/**
 * The metrics for Prometheus. They belong to the process, like its log, so that each thing is
 * counted where it happens. None has a label for a job or an owner: there may be millions.
 * Prometheus computes rates itself: `rate(rappel_steps_total[1m])`.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

export const registry = new Registry();
const registers = [registry];

export const meters = {
  requests: new Histogram({
    name: "rappel_http_request_seconds",
    help: "Time to answer HTTP requests, without streams and long polls, by method, route and status.",
    labelNames: ["method", "route", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  }),

  longLived: new Gauge({
    name: "rappel_http_long_lived",
    help: "Streams and long polls that are open in this process.",
    registers,
  }),

  predictions: new Histogram({
    name: "rappel_predict_seconds",
    help: "Time of requests for predictions, from their arrival in the queue to their answer.",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers,
  }),
  predictedRows: new Counter({ name: "rappel_predicted_rows_total", help: "Rows that were predicted.", registers }),
  predictionsWaiting: new Gauge({
    name: "rappel_predict_waiting",
    help: "Requests that wait for a prediction thread.",
    registers,
  }),
  predictionModels: new Gauge({
    name: "rappel_predict_model_bytes",
    help: "Memory of the models that the prediction threads keep.",
    registers,
  }),

  damage: new Counter({
    name: "rappel_damage_total",
    help: "Damaged or missing things that were found when they were read, by kind (columns, dataset, weights, checkpoint, model, record, set).",
    labelNames: ["what"],
    registers,
  }),

  // These concern the whole service. Only an API reports them.
  jobs: new Gauge({
    name: "rappel_jobs",
    help: "Jobs of all owners in Redis, by status.",
    labelNames: ["status"],
    registers,
  }),
  jobEnds: new Counter({
    name: "rappel_job_ends_total",
    help: "Jobs of all owners that ended, by status, and failed jobs also by the code of their error.",
    labelNames: ["status", "code"],
    registers,
  }),
  deliveries: new Gauge({
    name: "rappel_queue_deliveries",
    help: "Jobs in the queue, by state (waiting for a worker, active, delayed until their owner may run more).",
    labelNames: ["state"],
    registers,
  }),
  oldestWaiting: new Gauge({
    name: "rappel_queue_oldest_seconds",
    help: "How long the oldest waiting job has waited; 0 if none waits.",
    registers,
  }),
  workers: new Gauge({ name: "rappel_workers", help: "Workers that are alive.", registers }),
  storeUsed: new Gauge({
    name: "rappel_store_used_bytes",
    help: "Bytes that Redis holds, without those that may be deleted at any time.",
    registers,
  }),
  storeReserved: new Gauge({
    name: "rappel_store_reserved_bytes",
    help: "Bytes that jobs that have not ended may still need.",
    registers,
  }),
  storeLimit: new Gauge({
    name: "rappel_store_limit_bytes",
    help: "How many bytes both may take together before jobs are refused; absent if Redis has no limit.",
    registers,
  }),
  redisUp: new Gauge({ name: "rappel_redis_up", help: "1 if Redis answers this process, else 0.", registers }),

  archived: new Counter({
    name: "rappel_archived_total",
    help: "Ended jobs that this process moved into the archive.",
    registers,
  }),
  archiveJobs: new Gauge({ name: "rappel_archive_jobs", help: "Jobs in the archive.", registers }),
  archiveBytes: new Gauge({
    name: "rappel_archive_bytes",
    help: "Bytes of jobs in the archive, without those that compaction frees.",
    registers,
  }),
  archiveWaiting: new Gauge({
    name: "rappel_archive_waiting",
    help: "Ended jobs that are not in the archive yet, or for which there is none.",
    registers,
  }),

  // Retries (retries.ts).
  retries: new Counter({
    name: "rappel_retries_total",
    help: "Attempts that failed and are repeated, by loop.",
    labelNames: ["loop"],
    registers,
  }),

  // Messages that an API sends to webhooks.
  webhooks: new Counter({
    name: "rappel_webhook_attempts_total",
    help: "Attempts to send a message to a webhook: accepted (delivered), to be repeated (failed), or given up (given_up).",
    labelNames: ["result"],
    registers,
  }),

  // These concern the worker of this process.
  runs: new Gauge({ name: "rappel_runs", help: "Jobs that this process runs.", registers }),
  threads: new Gauge({ name: "rappel_training_threads", help: "Threads that train in this process.", registers }),
  queueWait: new Histogram({
    name: "rappel_queue_wait_seconds",
    help: "How long a job waited in the queue before a run of this process took it.",
    buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600],
    registers,
  }),
  runSeconds: new Histogram({
    name: "rappel_run_seconds",
    help: "How long a run took: until the job ended or was paused (ended), was given back (released, postponed) or lost (lost).",
    labelNames: ["end"],
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600],
    registers,
  }),
  leaseLosses: new Counter({
    name: "rappel_lease_losses_total",
    help: "Runs that lost their job: another run took it, or it ended meanwhile.",
    registers,
  }),
  steps: new Counter({ name: "rappel_steps_total", help: "Optimizer steps.", registers }),
  samples: new Counter({ name: "rappel_samples_total", help: "Samples trained on.", registers }),
  checkpointBytes: new Counter({
    name: "rappel_checkpoint_bytes_total",
    help: "Bytes of checkpoints written to Redis.",
    registers,
  }),
  checkpoints: new Histogram({
    name: "rappel_checkpoint_seconds",
    help: "Time to write checkpoints to Redis.",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  }),
  checkpointFailures: new Counter({
    name: "rappel_checkpoint_failures_total",
    help: "Checkpoints that could not be written.",
    registers,
  }),
};

// Each series begins with 0. Prometheus sees no increase in a series that begins with 1, so an
// alert would miss the first damage.
for (const what of ["columns", "dataset", "weights", "checkpoint", "model", "record", "set"])
  meters.damage.inc({ what }, 0);
for (const end of ["ended", "released", "postponed", "lost"]) meters.runSeconds.zero({ end });
for (const result of ["delivered", "failed", "given_up"]) meters.webhooks.inc({ result }, 0);

/** What a meter was told. */
export interface MeterCall {
  readonly meter: keyof typeof meters;
  readonly method: (typeof recorded)[number];
  readonly args: readonly unknown[];
}

const recorded = ["inc", "set", "observe"] as const;

/**
 * Makes the meters of this thread write down what they are told, since the main thread is the one
 * that is asked for them. Returns a function that takes what was written down so far.
 */
export function recordMeters(): () => MeterCall[] {
  let calls: MeterCall[] = [];
  for (const [meter, target] of Object.entries(meters) as [MeterCall["meter"], object][])
    for (const method of recorded)
      Object.assign(target, { [method]: (...args: unknown[]) => void calls.push({ meter, method, args }) });
  return () => {
    const taken = calls;
    calls = [];
    return taken;
  };
}

/** Tells the meters what another thread wrote down. */
export function replayMeters(calls: readonly MeterCall[]): void {
  for (const { meter, method, args } of calls) Reflect.apply(Reflect.get(meters[meter], method), meters[meter], args);
}

/**
 * Adds what Node knows about the process: memory, processor time, garbage collection, the lag of
 * the event loop.
 */
export function measureProcess(): void {
  collectDefaultMetrics({ register: registry });
}
