/**
 * OpenTelemetry traces from a request through the queue to its run. This file is loaded only if
 * OTEL_EXPORTER_OTLP_ENDPOINT says where traces go (HTTP, /v1/traces below it). The exporter itself
 * reads that variable and the related ones, such as OTEL_EXPORTER_OTLP_HEADERS.
 *
 * A caller's `traceparent` is continued. The job's record carries the context to the worker.
 * BullMQ makes no spans: its wake-ups belong to no job.
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
import type { FastifyPluginCallback } from "fastify";
import type { Logger } from "./log.ts";
import type { Stage } from "./runner/standstill.ts";
import type { RunTraces } from "./runner/trace.ts";

/**
 * How long it may take to send the rest at the end. A collector that is away delays nobody for
 * longer.
 */
const FLUSH_MS = 2000;

export interface Tracing extends RunTraces {
  /** Must be registered before any route. */
  readonly plugin: FastifyPluginCallback;
  /** The context of the present request, as JSON. */
  context(): string;
  /** Sends the rest. */
  close(): Promise<unknown>;
}

export function openTracing(role: string, log: Logger): Tracing {
  const warn = (reason: string) => log.warn({ reason }, "traces");
  diag.setLogger({ error: warn, warn, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
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
    context() {
      const carried = {};
      propagation.inject(context.active(), carried);
      return JSON.stringify(carried);
    },
    trace: traceRun,
    close: () => Promise.race([provider.shutdown(), sleep(FLUSH_MS, null, { ref: false })]),
  };
}

/** The names of a run's stages in a trace. */
const names: Record<Stage, string> = { preparing: "prepare", training: "train", ending: "finish" };

const traceRun: RunTraces["trace"] = ({ jobId, run }, carried) => {
  const tracer = trace.getTracer("rappel");
  const attributes = { "rappel.job_id": jobId, "rappel.run": run };
  const origin = propagation.extract(ROOT_CONTEXT, JSON.parse(carried ?? "{}") as object);
  const whole = tracer.startSpan("run", { kind: SpanKind.CONSUMER, attributes }, origin);
  const within = trace.setSpan(origin, whole);
  const start = (stage: Stage, startTime: number) => {
    return { stage, span: tracer.startSpan(names[stage], { attributes, startTime }, within) };
  };
  let at = start("preparing", Date.now());
  return {
    enter(stage, now = Date.now()) {
      if (stage === at.stage) return;
      at.span.end(now);
      at = start(stage, now);
    },
    did(what, began, step, ended = Date.now()) {
      const options = { attributes: { ...attributes, "rappel.step": step }, startTime: began };
      tracer.startSpan(what, options, within).end(ended);
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
