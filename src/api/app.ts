/** The HTTP service: limits, plugins, routes. It listens nowhere by itself. */
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from "fastify";
import { Problem } from "../spec/errors.ts";
import { authenticate } from "./plugins/authentication.ts";
import { describeApi } from "./plugins/description.ts";
import { protect } from "./plugins/headers.ts";
import { handleClientError, handleError, handleUnknownRoutes, refuseExpectations } from "./plugins/problems.ts";
import { limitRequests } from "./plugins/rate-limit.ts";
import { validate } from "./plugins/validation.ts";
import { requestIdOf } from "./request-id.ts";
import { catalogue } from "./routes/catalogue.ts";
import { checkpoints } from "./routes/checkpoints.ts";
import { datasets } from "./routes/datasets.ts";
import { events } from "./routes/events.ts";
import { health } from "./routes/health.ts";
import { jobs } from "./routes/jobs.ts";
import { metrics } from "./routes/metrics.ts";
import { model } from "./routes/model.ts";
import { progress } from "./routes/progress.ts";
import type { Services } from "./services.ts";

export const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** For a whole request, uploads included. */
const REQUEST_TIMEOUT_MS = 300_000;
/** For a connection on which nothing moves. */
const IDLE_TIMEOUT_MS = 60_000;

export async function buildApp({ log, ...services }: Services & { log: FastifyBaseLogger }): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: log,
    genReqId: requestIdOf,
    logController: new LogController({ requestIdLogLabel: "request_id", disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    return503OnClosing: false,
    frameworkErrors: handleError,
    clientErrorHandler: handleClientError,
  });
  app.setErrorHandler(handleError);
  app.addHook("onRequest", async (request, reply) => void reply.header("x-request-id", request.id));
  await protect(app);
  refuseWhileClosing(app);
  logRequests(app);
  refuseExpectations(app.server);
  authenticate(app, services.config.apiKeys);
  await limitRequests(app, services.config.requestsPerMinute);
  validate(app);
  handleUnknownRoutes(app);
  await describeApi(app);
  for (const routes of [datasets, jobs, progress, metrics, events, checkpoints, model, catalogue, health]) {
    await app.register(routes, services);
  }
  return app;
}

/** Requests on connections that are still open while the service shuts down. */
function refuseWhileClosing(app: FastifyInstance): void {
  let closing = false;
  app.addHook("preClose", async () => {
    closing = true;
  });
  app.addHook("onRequest", async () => {
    if (!closing) return;
    throw new Problem("unavailable", "This process is shutting down.", {}, { "retry-after": "1", connection: "close" });
  });
}

/** One line a request; what orchestrators ask every few seconds only when debugging. */
function logRequests(app: FastifyInstance): void {
  app.addHook("onResponse", async (request, reply) => {
    const level = request.routeOptions.config?.public ? "debug" : "info";
    const { method, url, owner } = request;
    request.log[level]({ method, url, owner, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, "request");
  });
}
