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
  attributes: { key: string; value: { stringValue?: string } }[];
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

test("a trace leads from the caller through the request and the queue to the run", async () => {
  const { port } = collector.address() as AddressInfo;
  const OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${port}`;
  const service = await startService({ env: { RAPPEL_DATA_DIR: dataDirectory, OTEL_EXPORTER_OTLP_ENDPOINT } });
  const { address } = await service.ready;
  const upload = await fetch(`${address}/v1/datasets`, {
    method: "POST",
    headers: { "content-type": "text/csv" },
    body: "x,y\n1,a\n2,b\n3,a\n",
  });
  const { id: dataset } = (await upload.json()) as { id: string };
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const posted = await fetch(`${address}/v1/jobs`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-request-id": "the-request",
      traceparent: `00-${traceId}-b7ad6b7169203331-01`,
    },
    body: JSON.stringify({
      data: { dataset, target: "y" },
      model: { layers: [{ type: "linear" }] },
      loss: { type: "cross_entropy" },
      optimizer: { type: "sgd", lr: 0.1 },
      training: { epochs: 1, batch_size: "full" },
    }),
  });
  const { id: job } = (await posted.json()) as { id: string };
  for (;;) {
    const { status } = (await (await fetch(`${address}/v1/jobs/${job}`)).json()) as { status: string };
    if (status === "succeeded") break;
    await sleep(20);
  }
  await service.stop();

  expect([...paths]).toEqual(["/v1/traces"]);
  const resource = exports[0].resourceSpans[0].resource.attributes;
  expect(resource).toContainEqual({ key: "service.name", value: { stringValue: "rappel" } });
  const spans = exports
    .flatMap(({ resourceSpans }) => resourceSpans.flatMap((one) => one.scopeSpans))
    .flatMap((one) => one.spans);
  const ours = spans.filter((span) => span.traceId === traceId);
  const [server, producer, consumer] = [2, 4, 5].map((kind) => ours.find((span) => span.kind === kind)!);
  expect(server.attributes).toContainEqual({ key: "rappel.request_id", value: { stringValue: "the-request" } });
  expect(server.attributes).toContainEqual({ key: "http.route", value: { stringValue: "/v1/jobs" } });
  expect(producer.name).toBe("add deliveries.train");
  expect(consumer.name).toBe("process deliveries");
  expect(consumer.attributes).toContainEqual({ key: "bullmq.job.id", value: { stringValue: `${job}-1` } });
});
