/** What a worker serves: its health and its metrics. It serves no jobs, so it needs no keys. */
import type { FastifyInstance } from "fastify";
import type { Logger } from "../log.ts";
import { buildBase } from "./base.ts";
import { health } from "./routes/health.ts";
import { prometheus } from "./routes/prometheus.ts";
import type { Services } from "./services.ts";

export type WorkerServices = Pick<Services, "checks" | "livenessChecks"> & { log: Logger };

export async function buildWorkerApp({ log, ...services }: WorkerServices): Promise<FastifyInstance> {
  const app = await buildBase(log);
  await app.register(health, services);
  await app.register(prometheus, { refresh: async () => undefined });
  return app;
}
