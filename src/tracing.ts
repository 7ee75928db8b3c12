/**
 * Traces from a request through the queue to the run it leads to, in OpenTelemetry's terms. Only loaded if OTEL_EXPORTER_OTLP_ENDPOINT says where they go
 * (HTTP, /v1/traces below it); the exporter reads that variable, and OTEL_EXPORTER_OTLP_HEADERS and its like, itself.
 *
 * A caller's `traceparent` is continued. BullMQ carries the context from the delivery to the worker, whose span lasts as long as the run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import FastifyOtel from "@fastify/otel";
import { context, diag, DiagLogLevel, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Telemetry } from "bullmq";
import { BullMQOtel } from "bullmq-otel";
import type { FastifyPluginCallback } from "fastify";
import type { Logger } from "./log.ts";

/** For what is left at the end; a collector that is away holds nobody up. */
const FLUSH_MS = 2000;

export interface Tracing {
  /** To be registered before any route. */
  readonly plugin: FastifyPluginCallback;
  /** For queues and their workers. */
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
    ignorePaths: ({ url }) => ["/healthz", "/readyz", "/metrics"].includes(url),
    requestHook: (span, request) => span.setAttribute("rappel.request_id", request.id),
  });
  return {
    plugin: instrumentation.plugin(),
    telemetry: new BullMQOtel({ tracerName: "rappel" }),
    close: () => Promise.race([provider.shutdown(), sleep(FLUSH_MS, null, { ref: false })]),
  };
}
