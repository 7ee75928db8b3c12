import { setTimeout as sleep } from "node:timers/promises";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { Client, type SpecInput } from "../../src/client/client.ts";
import { RequestRefused, ServiceUnreachable } from "../../src/client/errors.ts";
import type { StudyInput } from "../../src/client/study-calls.ts";
import { waitMs } from "../../src/client/again.ts";
import { apiKey } from "../../src/secrets.ts";
import { csv, specFor, startService, type Service } from "../api/service.ts";
import { floats, safetensors } from "../data/tensors/files.ts";

let service: Service;
let client: Client;
beforeAll(async () => {
  service = await startService({ apiKeys: [apiKey("ann", "first")] });
  const { port } = service.app.server.address() as AddressInfo;
  client = new Client({ url: `http://127.0.0.1:${port}/`, key: "first" });
});
afterAll(() => service.stop());

/** A server that stands in for the service where a test needs it to misbehave. */
async function standIn(answer: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<Client> {
  const server = createServer((request, response) => void answer(request, response)).listen(0);
  onTestFinished(() => void server.close());
  return new Client({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

test("every operation of openapi.yaml is a method", () => {
  const { paths } = parse(readFileSync("openapi.yaml", "utf8")) as {
    paths: Record<string, Record<string, { operationId: string }>>;
  };
  const operations = Object.values(paths).flatMap((methods) =>
    Object.values(methods).map(({ operationId }) => operationId),
  );
  for (const operation of operations) expect(Client.prototype).toHaveProperty(operation, expect.any(Function));
});

test("the service: its status and metrics", async () => {
  expect(await client.getStatus()).toMatchObject({ workers: [], queue: { active: 0 } });
  expect(await client.getPrometheusMetrics()).toContain("rappel_redis_up 1");
});

test("datasets: uploaded, listed, read and deleted", async () => {
  const dataset = await client.createDataset(csv, { name: "some name" });
  expect(dataset).toMatchObject({ name: "some name", rows: 20 });
  expect(await client.getDataset(dataset.id)).toEqual(dataset);
  expect((await client.listDatasets({ limit: 5 })).data).toEqual([dataset]);
  expect(Buffer.from(await client.getDatasetContent(dataset.id)).toString()).toBe(csv);
  expect(await client.previewDataset(dataset.id, { rows: 2 })).toMatchObject({ rows: { length: 2 } });
  const how = { header: false, columns: { column_1: "text" }, missing_values: ["x", "2,5"] } as const;
  const { reading } = await client.createDataset("1\t2\n", { separator: "tab", ...how });
  expect(reading).toMatchObject({ separator: "\t", ...how, missing_values: ["2,5", "x"] });
  await client.deleteDataset(dataset.id);
  await expect(client.getDataset(dataset.id)).rejects.toMatchObject({ status: 404, problem: { code: "not_found" } });
});

test("weights are uploaded, read and deleted", async () => {
  const file = safetensors({ a: { dtype: "F32", shape: [1], data: floats(1) } });
  const weights = await client.createWeights(file, { name: "some name" });
  expect(weights).toMatchObject({ name: "some name", tensors: [{ name: "a" }] });
  expect(await client.getWeights(weights.id)).toEqual(weights);
  expect((await client.listWeights({ limit: 5 })).data).toEqual([weights]);
  expect(Buffer.compare(await client.getWeightsContent(weights.id), file)).toBe(0);
  await client.deleteWeights(weights.id);
  await expect(client.getWeights(weights.id)).rejects.toMatchObject({ status: 404 });
});

test("jobs: validated, created, listed, watched and cancelled", async () => {
  const { id: dataset } = await client.createDataset(new Blob([csv]));
  const spec = { ...specFor(dataset), metadata: { team: "vision" } } as SpecInput;
  expect(await client.validateJob(spec)).toMatchObject({ valid: true, total_steps: 12 });
  const job = await client.createJob(spec, { idempotencyKey: "once" });
  expect((await client.createJob(spec, { idempotencyKey: "once" })).id).toBe(job.id);
  const other = await client.createJob(spec);
  expect(other.id).not.toBe(job.id);
  const { results } = await client.createJobs([spec, {} as SpecInput], { idempotencyKey: "many" });
  expect(results).toMatchObject([
    { status: 201, job: { status: "queued" } },
    { status: 422, problem: { code: "invalid_spec" } },
  ]);
  const [first] = (await client.createJobs([spec, {} as SpecInput], { idempotencyKey: "many" })).results;
  expect(first).toEqual(results[0]);
  await client.cancelJob((results[0] as { job: { id: string } }).job.id);
  const list = await client.listJobs({ status: ["queued", "running"], metadata: { team: "vision" }, limit: 1 });
  expect(list).toMatchObject({ data: [{ id: other.id }], has_more: true });
  expect((await client.listJobs({ after: list.next! })).data).toMatchObject([{ id: job.id }]);
  expect(await client.getProgress(job.id)).toMatchObject({ status: "queued", step: 0 });
  expect(await client.getMetrics(job.id, { names: ["train_loss"], max_points: 10 })).toMatchObject({ series: {} });
  expect(await client.getDiagnosis(job.id)).toMatchObject({ job_id: job.id, findings: [] });
  expect((await client.listEvents(job.id)).data).toMatchObject([{ type: "created" }]);
  expect((await client.listCheckpoints(job.id)).data).toEqual([]);
  await expect(client.getModel(job.id)).rejects.toMatchObject({
    problem: { code: "wrong_status", current_status: "queued" },
  });

  const seen: string[] = [];
  for await (const { status } of client.watch(job.id, { everyMs: 10 })) {
    seen.push(status);
    // It has asked many times by then, and told nothing twice.
    if (seen.length === 1) void sleep(200).then(() => client.cancelJob(job.id));
  }
  expect(seen).toEqual(["queued", "cancelled"]);
});

test("studies: created once, listed, paused, resumed, cancelled and deleted", async () => {
  const { id: dataset } = await client.createDataset(csv);
  const asked = { spec: specFor(dataset), space: { "/optimizer/lr": { uniform: [0.1, 0.2] } }, trials: 3 } as const;
  const study = await client.createStudy(asked as unknown as StudyInput, { idempotencyKey: "study" });
  expect((await client.createStudy(asked as unknown as StudyInput, { idempotencyKey: "study" })).id).toBe(study.id);
  expect((await client.listStudies()).data.map(({ id }) => id)).toEqual([study.id]);
  expect((await client.pauseStudy(study.id)).status).toBe("paused");
  expect((await client.resumeStudy(study.id)).status).toBe("running");
  expect(await client.getImportance(study.id)).toMatchObject({ importance: { "/optimizer/lr": 0 } });
  expect((await client.cancelStudy(study.id)).status).toBe("cancelling");
  while ((await client.getStudy(study.id)).finished_at === null) await sleep(10);
  const trials = (await client.listTrials(study.id)).data;
  expect(trials.map(({ status }) => status)).toEqual(trials.map(() => "cancelled"));
  expect((await client.listStudyEvents(study.id)).data.at(-1)).toMatchObject({ type: "cancelled" });
  await expect(client.extendStudy(study.id, 9)).rejects.toMatchObject({ status: 409 });
  await client.deleteStudy(study.id);
  await expect(client.getStudy(study.id)).rejects.toMatchObject({ status: 404 });
});

test("the catalogue and the health checks", async () => {
  expect((await client.listOptimizers()).data).toContainEqual(await client.getOptimizer("adam"));
  expect((await client.listLayers({ limit: 1 })).has_more).toBe(true);
  expect((await client.listDetectors()).data).toHaveLength(8);
  expect(await client.getDetector("plateau")).toMatchObject({ type: "plateau", needs: "losses" });
  const preview = {
    schedule: { type: "exponential", gamma: 0.5, interval: "step", warmup_steps: 0 },
    lr: 1,
    steps: 3,
  } as const;
  expect((await client.previewSchedule(preview)).learning_rate).toEqual([1, 0.5, 0.25]);
  expect([await client.getLayer("relu"), await client.getLoss("mse"), await client.getSchedule("step")]).toMatchObject([
    { type: "relu" },
    { type: "mse" },
    { type: "step" },
  ]);
  expect([await client.health(), await client.ready()]).toMatchObject([{ status: "ok" }, { status: "ok" }]);
});

test("a refusal is an error that carries the problem", async () => {
  const refusal = await client
    .createJob({ ...specFor("ds_0"), training: {} } as SpecInput)
    .catch((error: unknown) => error);
  if (!(refusal instanceof RequestRefused)) throw refusal;
  expect(refusal.status).toBe(422);
  expect(refusal.message).toBe(refusal.problem!.detail);
  expect(refusal.problem!.errors!.length).toBeGreaterThan(1);
  await expect(client.getJob("../datasets")).rejects.toMatchObject({ status: 404 });
  const keyless = new Client({ url: client.url });
  await expect(keyless.listJobs()).rejects.toMatchObject({ status: 401 });
});

test("a refused request is repeated later, if that does no harm", async () => {
  const asked: string[] = [];
  const flaky = await standIn((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    const refusal = asked.length === 3 ? 429 : 503;
    if (asked.length % 2 === 1) response.writeHead(refusal, { "retry-after": "0.01" }).end();
    else response.writeHead(200, { "content-type": "application/json" }).end('{"id": "x"}');
  });
  expect(await flaky.getJob("x")).toEqual({ id: "x" });
  expect(await flaky.createJob({} as SpecInput)).toEqual({ id: "x" });
  await expect(flaky.cancelJob("x")).rejects.toMatchObject({ status: 503, problem: null });
  expect(asked).toEqual([
    "GET /v1/jobs/x",
    "GET /v1/jobs/x",
    "POST /v1/jobs",
    "POST /v1/jobs",
    "POST /v1/jobs/x/cancel",
  ]);
});

test("other refusals are not repeated, and one without a problem document names the request", async () => {
  let asked = 0;
  for (const status of [400, 404, 409, 500, 502, 504]) {
    const proxy = await standIn((_request, response) => {
      asked++;
      response.writeHead(status, { "retry-after": "0.01", "content-type": "text/html" }).end("<h1>No</h1>");
    });
    const refusal = { status, problem: null, message: `GET /v1/jobs/x was answered ${status}.` };
    await expect(proxy.getJob("x")).rejects.toMatchObject(refusal);
  }
  expect(asked).toBe(6);
});

test("the key goes with each request, and the URL may end in slashes", async () => {
  const asked: unknown[] = [];
  const plain = await standIn((request, response) => {
    asked.push([request.url, request.headers.authorization]);
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  const keyed = new Client({ url: `${plain.url}//`, key: "secret" });
  expect(keyed.url).toBe(plain.url);
  expect(new Client().url).toBe("http://127.0.0.1:8080");
  for (const client of [plain, keyed]) await client.getJob("x");
  expect(asked).toEqual([
    ["/v1/jobs/x", undefined],
    ["/v1/jobs/x", "Bearer secret"],
  ]);
});

test("a stream can be sent only once, so it is not sent again", async () => {
  let asked = 0;
  const busy = await standIn((request, response) => {
    asked++;
    request.resume().on("end", () => response.writeHead(503, { "retry-after": "0.01" }).end());
  });
  const csv = new Blob(["x\n1\n"]).stream();
  await expect(busy.createDataset(csv)).rejects.toMatchObject({ status: 503 });
  expect(asked).toBe(1);
});

test("a client does not wait for more than a minute, or try more than five times", async () => {
  let asked = 0;
  let retryAfter = "86400";
  const away = await standIn((_request, response) => {
    asked++;
    response.writeHead(503, { "retry-after": retryAfter }).end();
  });
  await expect(away.getJob("x")).rejects.toMatchObject({ status: 503 });
  expect(asked).toBe(1);
  retryAfter = "0.001";
  await expect(away.getJob("x")).rejects.toMatchObject({ status: 503 });
  expect(asked).toBe(1 + 5);
});

test("a wait is what the service says and up to a tenth more, or a second", () => {
  const waits = Array.from({ length: 200 }, () => waitMs("2")!);
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(2000);
  expect(Math.max(...waits)).toBeLessThanOrEqual(2200);
  expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(100);
  for (const unclear of [null, "", "0", "-5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"]) {
    expect(waitMs(unclear)).toBeGreaterThanOrEqual(1000);
    expect(waitMs(unclear)).toBeLessThanOrEqual(1100);
  }
  expect(waitMs("60")).toBeGreaterThanOrEqual(60_000);
  expect(waitMs("61")).toBeNull();
});

test("control methods request the defined routes", async () => {
  const asked: unknown[] = [];
  const listener = await standIn(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    asked.push([request.method, request.url, body && JSON.parse(body)]);
    if (request.method === "DELETE") response.writeHead(204).end();
    else response.writeHead(202, { "content-type": "application/json" }).end("{}");
  });
  await listener.pauseJob("a");
  await listener.resumeJob("a");
  await listener.forkJob("a", { step: 5, overrides: { name: null }, optimizer: false });
  await listener.deleteJob("a");
  expect(asked).toEqual([
    ["POST", "/v1/jobs/a/pause", ""],
    ["POST", "/v1/jobs/a/resume", ""],
    ["POST", "/v1/jobs/a/fork", { step: 5, overrides: { name: null }, optimizer: false }],
    ["DELETE", "/v1/jobs/a", ""],
  ]);
});

test("read methods request the defined routes", async () => {
  const asked: (string | undefined)[] = [];
  const listener = await standIn((request, response) => {
    asked.push(request.url);
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await listener.getModel("a");
  await listener.getModel("a", { which: "best" });
  await listener.getModelDescription("a");
  await listener.getEvaluation("a", { split: "test" });
  await listener.predict("a", { inputs: [[1]] });
  await listener.generate("a", { prompt: "x" });
  await listener.predict("a", "x\n1", { which: "best" });
  await listener.getCheckpoint("a", 7);
  await listener.getTorchOptimizer("a", 7);
  await listener.getTorchOptimizerTensors("a", 7);
  await listener.listCheckpoints("a", { limit: 2, after: "7" });
  await listener.listEvents("a", { limit: 2, after: "7" });
  await listener.listBatches("a", { epoch: 1, limit: 2, after: "7" });
  await listener.getMetrics("a", { names: ["train_loss", "valid_loss"], from_step: 1, to_step: 9, max_points: 5 });
  await listener.getDatasetContent("a/b");
  expect(asked).toEqual([
    "/v1/jobs/a/model?which=final",
    "/v1/jobs/a/model?which=best",
    "/v1/jobs/a/model/description",
    "/v1/jobs/a/evaluation?split=test",
    "/v1/jobs/a/predict",
    "/v1/jobs/a/predict",
    "/v1/jobs/a/predict?which=best",
    "/v1/jobs/a/checkpoints/7",
    "/v1/jobs/a/checkpoints/7?format=torch_optimizer",
    "/v1/jobs/a/checkpoints/7?format=torch_optimizer_tensors",
    "/v1/jobs/a/checkpoints?limit=2&after=7",
    "/v1/jobs/a/events?limit=2&after=7",
    "/v1/jobs/a/batches?epoch=1&limit=2&after=7",
    "/v1/jobs/a/metrics?names=train_loss%2Cvalid_loss&from_step=1&to_step=9&max_points=5",
    "/v1/datasets/a%2Fb/content",
  ]);
});

test("a missing answer is a separate error", async () => {
  const nobody = new Client({ url: "http://127.0.0.1:1" });
  await expect(nobody.health()).rejects.toBeInstanceOf(ServiceUnreachable);
  await expect(nobody.health()).rejects.toThrow(/^No service answers at http:\/\/127\.0\.0\.1:1: /);
});
