/**
 * What every HTTP server of the service has in common, the api's and a worker's: limits, request
 * ids, problem documents, measurement.
 */
import type { Socket } from "node:net";
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from "fastify";
import { meters } from "../meters.ts";
import { protect } from "./plugins/headers.ts";
import { handleInOrder } from "./plugins/pipelining.ts";
import {
  handleClientError,
  handleEarlyError,
  handleError,
  handleUnknownRoutes,
  refuseExpectations,
} from "./plugins/problems.ts";
import { validate } from "./plugins/validation.ts";
import { requestIdOf } from "./request-id.ts";

declare module "fastify" {
  interface FastifyReply {
    /** It waits for something to happen (plugins/long-lived.ts). */
    longLived: boolean;
  }
}

export const MAX_BODY_BYTES = 2 * 1024 * 1024;
/** For a whole request, uploads included. */
const REQUEST_TIMEOUT_MS = 300_000;
/** For a client that neither sends the rest of its request nor reads the answer. */
const IDLE_TIMEOUT_MS = 60_000;

export async function buildBase(log: FastifyBaseLogger): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: log,
    genReqId: requestIdOf,
    logController: new LogController({ requestIdLogLabel: "request_id", disableRequestLogging: true }),
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: IDLE_TIMEOUT_MS,
    return503OnClosing: false,
    frameworkErrors: handleEarlyError,
    clientErrorHandler: handleClientError,
  });
  app.setErrorHandler(handleError);
  handleInOrder(app);
  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    done();
  });
  // A request that has arrived completely is not cut off: its connection is idle while the service
  // works on it, and that may take long.
  app.addHook("onRequest", (request, reply, done) => {
    reply.raw.on("timeout", (socket: Socket) => {
      if (!request.raw.complete || reply.raw.headersSent) socket.destroy();
    });
    done();
  });
  await protect(app);
  app.decorateReply("longLived", false);
  app.addHook("onResponse", async (request, reply) => {
    // Its duration shows when something happened to the job, not how fast this service is.
    if (reply.longLived) return;
    const { method, routeOptions } = request;
    const labels = { method, route: routeOptions.url ?? "none", status: reply.statusCode };
    meters.requests.observe(labels, reply.elapsedTime / 1000);
  });
  refuseExpectations(app.server);
  validate(app);
  handleUnknownRoutes(app);
  return app;
}
