/**
 * Traces from a request through the queue to the run it leads to, in OpenTelemetry's terms. Only
 * loaded if OTEL_EXPORTER_OTLP_ENDPOINT says where they go (HTTP, /v1/traces below it); the
 * exporter reads that variable, and OTEL_EXPORTER_OTLP_HEADERS and its like, itself.
 *
 * A caller's `traceparent` is continued. BullMQ carries the context with the delivery to the
 * worker. What BullMQ itself would tell of a worker (each time that it looked for a delivery,
 * several times a second) is not wanted: the worker's queue knows nothing of traces, and the run
 * makes the spans.
 */
import { setTimeout as sleep } from "node:timers/promises";
import FastifyOtel from "@fastify/otel";
import {
  context,
  diag,
  DiagLogLevel,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Telemetry } from "bullmq";
import { BullMQOtel } from "bullmq-otel";
import type { FastifyPluginCallback } from "fastify";
import type { Logger } from "./log.ts";
import type { Stage } from "./runner/pulse.ts";
import type { RunTraces } from "./runner/trace.ts";

/** For what is left at the end; a collector that is away holds nobody up. */
const FLUSH_MS = 2000;

export interface Tracing extends RunTraces {
  /** To be registered before any route. */
  readonly plugin: FastifyPluginCallback;
  /** For queues. */
  readonly telemetry: Telemetry;
  /** Sends what is left. */
  close(): Promise<unknown>;
}

export function openTracing(role: string, log: Logger): Tracing {
  const warn = (reason: string) => log.warn({ reason }, "traces");
  diag.setLogger({ error: warn, warn, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
  const resource = defaultResource()
    .merge(resourceFromAttributes({ "service.name": "rappel", "rappel.role": role }))
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new TracerProvider({
    resource,
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  trace.setGlobalTracerProvider(provider);
  const instrumentation = new FastifyOtel.FastifyOtelInstrumentation({
    instrumentHooks: false,
    instrumentHandler: false,
    ignorePaths: ({ url }) => ["/healthz", "/readyz", "/metrics"].includes(url),
    requestHook: (span, { id, method, routeOptions: { url } }) => {
      span.updateName(url === undefined ? method : `${method} ${url}`);
      span.setAttribute("rappel.request_id", id);
    },
  });
  return {
    plugin: instrumentation.plugin(),
    telemetry: new BullMQOtel({ tracerName: "rappel" }),
    trace: traceRun,
    close: () => Promise.race([provider.shutdown(), sleep(FLUSH_MS, null, { ref: false })]),
  };
}

/** What the stages of a run are called in a trace. */
const names: Record<Stage, string> = { preparing: "prepare", training: "train", ending: "finish" };

const traceRun: RunTraces["trace"] = ({ jobId, run }, carried = "{}") => {
  const tracer = trace.getTracer("rappel");
  const attributes = { "rappel.job_id": jobId, "rappel.run": run };
  const origin = propagation.extract(ROOT_CONTEXT, JSON.parse(carried) as object);
  const whole = tracer.startSpan("run", { kind: SpanKind.CONSUMER, attributes }, origin);
  const within = trace.setSpan(origin, whole);
  const start = (stage: Stage, startTime: number) => {
    return { stage, span: tracer.startSpan(names[stage], { attributes, startTime }, within) };
  };
  let at = start("preparing", Date.now());
  return {
    enter(stage) {
      if (stage === at.stage) return;
      const now = Date.now();
      at.span.end(now);
      at = start(stage, now);
    },
    did(what, began, step) {
      const options = { attributes: { ...attributes, "rappel.step": step }, startTime: began };
      tracer.startSpan(what, options, within).end(Date.now());
    },
    failed(code, message) {
      whole.setStatus({ code: SpanStatusCode.ERROR, message });
      whole.setAttribute("error.type", code);
    },
    ended(end) {
      at.span.end(Date.now());
      whole.setAttribute("rappel.end", end);
      whole.end();
    },
  };
};
