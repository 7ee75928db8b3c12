import { rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDataDirectory } from "../support/redis.ts";
import { startService } from "../support/service.ts";

interface Span {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code?: number };
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[];
}

interface Export {
  resourceSpans: { resource: { attributes: Span["attributes"] }; scopeSpans: { spans: Span[] }[] }[];
}

let collector: Server;
const exports: Export[] = [];
const paths = new Set<string>();
let dataDirectory: string;

beforeAll(async () => {
  dataDirectory = makeDataDirectory();
  collector = createServer((request, response) => {
    paths.add(request.url!);
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      exports.push(JSON.parse(text) as Export);
      response.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  collector.close();
  rmSync(dataDirectory, { recursive: true });
});

/** A service that sends its spans to the collector. */
async function startTraced() {
  const { port } = collector.address() as AddressInfo;
  const OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${port}`;
  const service = await startService({ env: { RAPPEL_DATA_DIR: dataDirectory, OTEL_EXPORTER_OTLP_ENDPOINT } });
  const { address } = await service.ready;
  const send = async (path: string, body: string, headers: Record<string, string>) =>
    (await (await fetch(address + path, { method: "POST", headers, body })).json()) as { id: string };
  return {
    upload: (csv: string) => send("/v1/datasets", csv, { "content-type": "text/csv" }),
    post: (spec: object, headers = {}) =>
      send("/v1/jobs", JSON.stringify(spec), { "content-type": "application/json", ...headers }),
    async until(job: string, wanted: string) {
      for (;;) {
        const { status } = (await (await fetch(`${address}/v1/jobs/${job}`)).json()) as { status: string };
        if (status === wanted) return;
        await sleep(20);
      }
    },
    get: (path: string) => fetch(address + path),
    stop: () => service.stop(),
  };
}

const spans = () =>
  exports.flatMap(({ resourceSpans }) => resourceSpans.flatMap((one) => one.scopeSpans)).flatMap((one) => one.spans);

function attribute({ attributes }: Span, name: string): string | undefined {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value?.stringValue ?? value?.intValue?.toString();
}

const spec = (dataset: string) => ({
  data: { dataset, target: "y", validation: { every: 3 } },
  model: { layers: [{ type: "linear" }] },
  loss: { type: "cross_entropy" },
  optimizer: { type: "sgd", lr: 0.1 },
  training: { epochs: 4, batch_size: "full", eval_every_epochs: 2 },
  checkpoint: { every_steps: 2, every_seconds: null },
});

test("a trace leads from the caller through the request and the queue to the run and its stages", async () => {
  const service = await startTraced();
  const { id: dataset } = await service.upload("x,y\n1,a\n2,b\n3,a\n4,b\n");
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const { id: job } = await service.post(spec(dataset), {
    "x-request-id": "the-request",
    traceparent: `00-${traceId}-b7ad6b7169203331-01`,
  });
  await service.until(job, "succeeded");
  await service.get("/no/such/path");
  await service.stop();

  expect([...paths]).toEqual(["/v1/traces"]);
  const resource = exports[0].resourceSpans[0].resource.attributes;
  expect(resource).toContainEqual({ key: "service.name", value: { stringValue: "rappel" } });
  const ours = spans().filter((span) => span.traceId === traceId);
  const tree = (parent: string): string[] =>
    ours.filter(({ parentSpanId }) => parentSpanId === parent).flatMap(({ name, spanId }) => [name, ...tree(spanId)]);
  const [request, run, ...stages] = tree("b7ad6b7169203331");
  expect([request, run]).toEqual(["POST /v1/jobs", "run"]);
  expect(stages.sort()).toEqual(["checkpoint", "evaluate", "evaluate", "finish", "prepare", "train"]);

  const named = (name: string) => ours.filter((span) => span.name === name);
  expect(attribute(named("POST /v1/jobs")[0], "rappel.request_id")).toBe("the-request");
  expect(attribute(named("POST /v1/jobs")[0], "http.response.status_code")).toBe("201");
  expect(attribute(named("run")[0], "rappel.job_id")).toBe(job);
  expect(attribute(named("run")[0], "rappel.run")).toBe("1");
  expect(attribute(named("run")[0], "rappel.end")).toBe("ended");
  expect(named("evaluate").map((span) => attribute(span, "rappel.step"))).toEqual(["2", "4"]);
  const [prepare, train, finish] = ["prepare", "train", "finish"].map((name) => named(name)[0]);
  expect(BigInt(prepare.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(train.startTimeUnixNano));
  expect(BigInt(train.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(finish.startTimeUnixNano));
  for (const { startTimeUnixNano } of named("evaluate")) {
    expect(BigInt(startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(train.startTimeUnixNano) - 1_000_000n);
  }
  expect(spans().map(({ name }) => name)).toContain("GET");
});

test("the trace of a failed run says so, and a waiting worker makes no spans", async () => {
  exports.length = 0;
  const service = await startTraced();
  const { id: dataset } = await service.upload("x,y\n1,1\n2,2\n3,3\n4,4\n");
  const diverging = { ...spec(dataset), loss: { type: "mse" }, optimizer: { type: "sgd", lr: 1e30 } };
  const { id: job } = await service.post({ ...diverging, training: { epochs: 50, batch_size: "full" } });
  await service.until(job, "failed");
  // Time for a worker to look for jobs.
  await sleep(1000);
  await service.stop();
  const run = spans().find(({ name }) => name === "run")!;
  expect(run.status).toMatchObject({ code: 2 });
  expect(attribute(run, "error.type")).toBe("diverged");
  const names = new Set(spans().map(({ name }) => name));
  expect([...names].sort()).toEqual([
    "GET /v1/jobs/:id",
    "POST /v1/datasets",
    "POST /v1/jobs",
    "evaluate",
    "finish",
    "prepare",
    "run",
    "train",
  ]);
});
