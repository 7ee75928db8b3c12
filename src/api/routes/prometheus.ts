import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { registry } from "../../meters.ts";
import { problems } from "../responses.ts";

export interface PrometheusOptions {
  /** Called before the metrics are read, to measure what does not measure itself. */
  readonly refresh: () => Promise<void>;
}

export const prometheus: FastifyPluginAsyncZod<PrometheusOptions> = async (app, { refresh }) => {
  app.get(
    "/metrics",
    {
      schema: {
        tags: ["operations"],
        operationId: "getPrometheusMetrics",
        summary: "Metrics for Prometheus",
        description: "Of this process, and of the service as a whole. A worker's own are on its port.",
        response: {
          200: { description: "Prometheus' text format.", content: { "text/plain": { schema: z.string() } } },
          ...problems(),
        },
      },
    },
    async (_request, reply) => {
      await refresh();
      return reply.type(registry.contentType).send(await registry.metrics());
    },
  );
};
