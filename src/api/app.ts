/** The HTTP service: plugins and routes. It listens nowhere by itself. */
import type { Queue } from "bullmq";
import type { FastifyBaseLogger, FastifyInstance, FastifyPluginCallback } from "fastify";
import { Problem } from "../contract/errors.ts";
import { buildBase } from "./base.ts";
import { Attempts } from "./plugins/attempts.ts";
import { decorateWithCaller } from "./plugins/caller.ts";
import { authenticate } from "./plugins/authentication.ts";
import { describeApi } from "./plugins/description.ts";
import { refuseForeignPages } from "./plugins/local-only.ts";
import { endLongLived, longLivedLimits } from "./plugins/long-lived.ts";
import { limitRequests } from "./plugins/rate-limit.ts";
import { health } from "./routes/health.ts";
import { routes } from "./routes/registry.generated.ts";
import type { Services } from "./services.ts";

export interface AppOptions extends Services {
  readonly log: FastifyBaseLogger;
  /** What the dashboard shows. */
  readonly queues: readonly Queue[];
  /** Makes spans of requests. */
  readonly tracing?: FastifyPluginCallback;
}

export async function buildApp({ log, queues, tracing, ...services }: AppOptions): Promise<FastifyInstance> {
  const app = await buildBase(log);
  if (tracing !== undefined) await app.register(tracing);
  refuseWhileClosing(app);
  endLongLived(app, longLivedLimits);
  decorateWithCaller(app);
  logRequests(app);
  const { apiKeys, host } = services.config;
  refuseForeignPages(app, { host, keyless: apiKeys.length === 0 });
  const attempts = new Attempts();
  authenticate(app, apiKeys, attempts);
  await limitRequests(app, services.config.requestsPerMinute);
  await describeApi(app);
  for (const resource of [...Object.values(routes), health]) await app.register(resource, services);
  const { adminKey } = services.config;
  if (adminKey !== null) {
    // It is loaded only if there is an admin key, since loading takes time.
    const { board } = await import("./routes/board.ts");
    await app.register(board, { queues, adminKey, attempts });
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

/**
 * One line a request. Requests of orchestrators, which come every few seconds, are logged only when
 * debugging.
 */
function logRequests(app: FastifyInstance): void {
  app.addHook("onResponse", async (request, reply) => {
    const level = request.routeOptions.config?.public ? "debug" : "info";
    const { method, url, owner } = request;
    request.log[level]({ method, url, owner, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, "request");
  });
}
