/**
 * A client of the service. It has one method for each operation of openapi.yaml, with the same
 * name. Its types are those of the wire's schemas. At run time it needs nothing but `fetch`.
 *
 *     const rappel = new Client({ url: "http://127.0.0.1:8080" });
 *     const { id } = await rappel.createDataset(await readFile("iris.csv"));
 *     const job = await rappel.createJob({ data: { dataset: id, target: "target" }, … });
 *     for await (const progress of rappel.watch(job.id)) console.log(progress.train_loss);
 *     const weights = await rappel.getModel(job.id);
 *
 * If the service asks to retry later (429, or 503 while it restarts), the client repeats the
 * request at the time that the service names, if that is within a minute. It does so only if a
 * second request does no harm. Creating a job is safe, since the request has an idempotency key.
 */
import type { z } from "zod";
import type { DetectorEntry, LayerEntry, LossEntry, OptimizerEntry, ScheduleEntry } from "../contract/catalogue.ts";
import type { Diagnosis } from "../contract/schema/diagnosis.ts";
import type { SeriesName } from "../contract/series.ts";
import type { Spec } from "../contract/schema/spec.ts";
import type { TorchOptimizer } from "../contract/torch-optimizer.ts";
import type { BatchPrediction } from "../contract/wire/batch-prediction.ts";
import type { Batches } from "../contract/wire/batches.ts";
import type { Checkpoint } from "../contract/wire/checkpoint.ts";
import type { Page } from "../contract/wire/common.ts";
import type { Dataset, DatasetPreview } from "../contract/wire/dataset.ts";
import type { Evaluation, Split } from "../contract/wire/evaluation.ts";
import type { Event } from "../contract/wire/event.ts";
import type { Job, JobStatus, JobSummary, Progress, ValidatedSpec } from "../contract/wire/job.ts";
import type { JobBatchResults } from "../contract/wire/job-batch.ts";
import type { MetricSeries, ScheduleCurve } from "../contract/wire/metrics.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import type { GeneratedText, Predictions } from "../contract/wire/prediction.ts";
import type { Health, ServiceStatus } from "../contract/wire/status.ts";
import type { Weights } from "../contract/wire/weights.ts";
import type {
  BatchInput,
  DatasetInput,
  Fork,
  ModelChoice,
  PageQuery,
  PredictionInput,
  PreviewInput,
} from "./inputs.ts";
import { keyOf, sleep, type Idempotent } from "./again.ts";
import { path, type Body } from "./calls.ts";
import { StudyCalls } from "./study-calls.ts";

/** A spec as a client may write it: whatever has a default may be left out. */
export type SpecInput = z.input<typeof Spec>;

const BINARY = { "content-type": "application/octet-stream" };
const ENDED: readonly JobStatus[] = ["succeeded", "failed", "cancelled"];
export class Client extends StudyCalls {
  /** `csv`: the bytes of the file, or a stream of them. */
  createDataset(csv: Body, options: DatasetInput = {}): Promise<Dataset> {
    const again = !(csv instanceof ReadableStream);
    const texts = Object.entries(options).map(([option, value]) => [
      option,
      typeof value === "object" ? JSON.stringify(value) : value,
    ]);
    return this.json("POST", "/v1/datasets", {
      query: Object.fromEntries(texts) as Record<string, unknown>,
      headers: { "content-type": "text/csv" },
      body: csv,
      again,
    });
  }

  listDatasets(query: PageQuery = {}): Promise<Page<Dataset>> {
    return this.json("GET", "/v1/datasets", { query: { ...query } });
  }

  getDataset(id: string): Promise<Dataset> {
    return this.json("GET", path`/v1/datasets/${id}`);
  }

  getDatasetContent(id: string): Promise<Uint8Array> {
    return this.bytes(path`/v1/datasets/${id}/content`);
  }

  /** The first rows of a dataset, as jobs see them. */
  previewDataset(id: string, query: { rows?: number } = {}): Promise<DatasetPreview> {
    return this.json("GET", path`/v1/datasets/${id}/preview`, { query });
  }

  async deleteDataset(id: string): Promise<void> {
    await this.call("DELETE", path`/v1/datasets/${id}`);
  }

  /** `file`: the bytes of a safetensors file, or a stream of them. */
  createWeights(file: Body, { name }: { name?: string } = {}): Promise<Weights> {
    const again = !(file instanceof ReadableStream);
    return this.json("POST", "/v1/weights", { query: { name }, headers: BINARY, body: file, again });
  }

  listWeights(query: PageQuery = {}): Promise<Page<Weights>> {
    return this.json("GET", "/v1/weights", { query: { ...query } });
  }

  getWeights(id: string): Promise<Weights> {
    return this.json("GET", path`/v1/weights/${id}`);
  }

  getWeightsContent(id: string): Promise<Uint8Array> {
    return this.bytes(path`/v1/weights/${id}/content`);
  }

  async deleteWeights(id: string): Promise<void> {
    await this.call("DELETE", path`/v1/weights/${id}`);
  }

  createJob(spec: SpecInput, options: Idempotent = {}): Promise<Job> {
    return this.send("/v1/jobs", spec, { headers: keyOf(options), again: true });
  }

  /** Creates up to 1,000 jobs, each for itself. The answer has what became of each, in order. */
  createJobs(jobs: readonly SpecInput[], options: Idempotent = {}): Promise<JobBatchResults> {
    return this.send("/v1/jobs/batch", { jobs }, { headers: keyOf(options), again: true });
  }

  /** Checks a job without creating it. */
  validateJob(spec: SpecInput): Promise<ValidatedSpec> {
    return this.send("/v1/jobs", spec, { query: { validate_only: true }, again: true });
  }

  listJobs({
    status,
    metadata = {},
    ...query
  }: PageQuery & { status?: readonly JobStatus[]; metadata?: Record<string, string> } = {}): Promise<Page<JobSummary>> {
    const pairs = Object.entries(metadata).map(([name, value]) => [`metadata.${name}`, value]);
    return this.json("GET", "/v1/jobs", { query: { ...query, status, ...Object.fromEntries(pairs) } });
  }

  getJob(id: string): Promise<Job> {
    return this.json("GET", path`/v1/jobs/${id}`);
  }

  cancelJob(id: string): Promise<Job> {
    return this.json("POST", path`/v1/jobs/${id}/cancel`);
  }

  pauseJob(id: string): Promise<Job> {
    return this.json("POST", path`/v1/jobs/${id}/pause`);
  }

  resumeJob(id: string): Promise<Job> {
    return this.json("POST", path`/v1/jobs/${id}/resume`);
  }

  /** Creates a job that starts from a checkpoint of this one. */
  forkJob(id: string, fork: Fork): Promise<Job> {
    return this.send(path`/v1/jobs/${id}/fork`, fork);
  }

  async deleteJob(id: string): Promise<void> {
    await this.call("DELETE", path`/v1/jobs/${id}`);
  }

  getProgress(id: string): Promise<Progress> {
    return this.json("GET", path`/v1/jobs/${id}/progress`);
  }

  /**
   * The progress of a job, whenever it has changed. The last one is that at the end of the job.
   */
  async *watch(id: string, { everyMs = 200 }: { everyMs?: number } = {}): AsyncGenerator<Progress, void> {
    for (let etag = ""; ;) {
      const headers: Record<string, string> = etag === "" ? {} : { "if-none-match": etag };
      const response = await this.call("GET", path`/v1/jobs/${id}/progress`, { headers });
      if (response.status !== 304) {
        etag = response.headers.get("etag") ?? "";
        const progress = (await response.json()) as Progress;
        yield progress;
        if (ENDED.includes(progress.status)) return;
      }
      await sleep(everyMs);
    }
  }

  getMetrics(
    id: string,
    query: { names?: readonly SeriesName[]; from_step?: number; to_step?: number; max_points?: number } = {},
  ): Promise<MetricSeries> {
    return this.json("GET", path`/v1/jobs/${id}/metrics`, { query });
  }

  /** The rows of the batches of an epoch. Epochs count from 0. */
  listBatches(id: string, query: { epoch?: number; limit?: number; after?: string } = {}): Promise<Batches> {
    return this.json("GET", path`/v1/jobs/${id}/batches`, { query });
  }

  /** What the job's detectors have found. */
  getDiagnosis(id: string): Promise<Diagnosis> {
    return this.json("GET", path`/v1/jobs/${id}/diagnosis`);
  }

  listEvents(id: string, query: PageQuery = {}): Promise<Page<Event>> {
    return this.json("GET", path`/v1/jobs/${id}/events`, { query: { ...query } });
  }

  listCheckpoints(id: string, query: PageQuery = {}): Promise<Page<Checkpoint>> {
    return this.json("GET", path`/v1/jobs/${id}/checkpoints`, { query: { ...query } });
  }

  /** A safetensors file of the whole state. */
  getCheckpoint(id: string, step: number): Promise<Uint8Array> {
    return this.bytes(path`/v1/jobs/${id}/checkpoints/${step}`);
  }

  /**
   * The optimizer's state in the form for PyTorch's `load_state_dict`, with the names of tensors
   * instead of the tensors.
   */
  getTorchOptimizer(id: string, step: number): Promise<TorchOptimizer> {
    return this.json("GET", path`/v1/jobs/${id}/checkpoints/${step}`, { query: { format: "torch_optimizer" } });
  }

  /** A safetensors file of those tensors. */
  getTorchOptimizerTensors(id: string, step: number): Promise<Uint8Array> {
    return this.bytes(path`/v1/jobs/${id}/checkpoints/${step}`, { format: "torch_optimizer_tensors" });
  }

  /** A safetensors file of the weights. */
  getModel(id: string, { which = "final" }: { which?: "final" | "best" } = {}): Promise<Uint8Array> {
    return this.bytes(path`/v1/jobs/${id}/model`, { which });
  }

  getModelDescription(id: string): Promise<ModelDescription> {
    return this.json("GET", path`/v1/jobs/${id}/model/description`);
  }

  /** What the model gets right and wrong on the rows that were held back. */
  getEvaluation(id: string, query: { split?: Split } = {}): Promise<Evaluation> {
    return this.json("GET", path`/v1/jobs/${id}/evaluation`, { query });
  }

  /** What a model of language adds to the prompt. */
  generate(id: string, prompt: PredictionInput & { prompt: string }): Promise<GeneratedText> {
    return this.send(path`/v1/jobs/${id}/predict`, prompt, { again: true });
  }

  /** What the model says of new rows: those of a CSV, or of a request in JSON. */
  predict(id: string, rows: string | PredictionInput, choice: ModelChoice = {}): Promise<Predictions> {
    const route = path`/v1/jobs/${id}/predict`;
    if (typeof rows !== "string") return this.send(route, { ...choice, ...rows }, { again: true });
    const headers = { "content-type": "text/csv" };
    return this.json("POST", route, { query: { ...choice }, headers, body: rows, again: true });
  }

  /** Predicts from all rows of a dataset. The prediction runs by itself, as a job does. */
  createPrediction(id: string, asked: BatchInput, options: Idempotent = {}): Promise<BatchPrediction> {
    return this.send(path`/v1/jobs/${id}/predictions`, asked, { headers: keyOf(options), again: true });
  }

  listPredictions(id: string, query: PageQuery = {}): Promise<Page<BatchPrediction>> {
    return this.json("GET", path`/v1/jobs/${id}/predictions`, { query: { ...query } });
  }

  getPrediction(id: string, prediction: string): Promise<BatchPrediction> {
    return this.json("GET", path`/v1/jobs/${id}/predictions/${prediction}`);
  }

  /** A CSV, as it arrives. */
  async getPredictionResult(id: string, prediction: string): Promise<ReadableStream<Uint8Array>> {
    return (await this.call("GET", path`/v1/jobs/${id}/predictions/${prediction}/result`)).body!;
  }

  cancelPrediction(id: string, prediction: string): Promise<BatchPrediction> {
    return this.json("POST", path`/v1/jobs/${id}/predictions/${prediction}/cancel`);
  }

  async deletePrediction(id: string, prediction: string): Promise<void> {
    await this.call("DELETE", path`/v1/jobs/${id}/predictions/${prediction}`);
  }

  listOptimizers(query: PageQuery = {}): Promise<Page<OptimizerEntry>> {
    return this.json("GET", "/v1/optimizers", { query: { ...query } });
  }

  getOptimizer(type: string): Promise<OptimizerEntry> {
    return this.json("GET", path`/v1/optimizers/${type}`);
  }

  listLayers(query: PageQuery = {}): Promise<Page<LayerEntry>> {
    return this.json("GET", "/v1/layers", { query: { ...query } });
  }

  getLayer(type: string): Promise<LayerEntry> {
    return this.json("GET", path`/v1/layers/${type}`);
  }

  listLosses(query: PageQuery = {}): Promise<Page<LossEntry>> {
    return this.json("GET", "/v1/losses", { query: { ...query } });
  }

  getLoss(type: string): Promise<LossEntry> {
    return this.json("GET", path`/v1/losses/${type}`);
  }

  listSchedules(query: PageQuery = {}): Promise<Page<ScheduleEntry>> {
    return this.json("GET", "/v1/schedules", { query: { ...query } });
  }

  getSchedule(type: string): Promise<ScheduleEntry> {
    return this.json("GET", path`/v1/schedules/${type}`);
  }

  /** The learning rate, and the momentum if it is cycled, of each step. */
  previewSchedule(preview: PreviewInput): Promise<ScheduleCurve> {
    return this.send("/v1/schedules/preview", preview, { again: true });
  }

  listDetectors(query: PageQuery = {}): Promise<Page<DetectorEntry>> {
    return this.json("GET", "/v1/detectors", { query: { ...query } });
  }

  getDetector(type: string): Promise<DetectorEntry> {
    return this.json("GET", path`/v1/detectors/${type}`);
  }

  /** The workers and the queue. */
  getStatus(): Promise<ServiceStatus> {
    return this.json("GET", "/v1/status");
  }

  async getPrometheusMetrics(): Promise<string> {
    return await (await this.call("GET", "/metrics")).text();
  }

  health(): Promise<Health> {
    return this.json("GET", "/healthz");
  }

  ready(): Promise<Health> {
    return this.json("GET", "/readyz");
  }
}
