/** What a worker serves: whether it lives and can work. No jobs, so no keys. */
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from "fastify";
import type { Logger } from "../log.ts";
import { handleError, handleUnknownRoutes } from "./plugins/problems.ts";
import { validate } from "./plugins/validation.ts";
import { requestIdOf } from "./request-id.ts";
import { health } from "./routes/health.ts";
import type { Services } from "./services.ts";

export async function buildWorkerApp({
  log,
  checks,
}: Pick<Services, "checks"> & { log: Logger }): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: log as FastifyBaseLogger,
    genReqId: requestIdOf,
    logController: new LogController({ requestIdLogLabel: "request_id", disableRequestLogging: true }),
  });
  app.setErrorHandler(handleError);
  app.addHook("onRequest", async (request, reply) => void reply.header("x-request-id", request.id));
  validate(app);
  handleUnknownRoutes(app);
  await app.register(health, { checks });
  return app;
}
