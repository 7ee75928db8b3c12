import { Health } from "../../spec/wire.ts";
import { json } from "../responses.ts";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { Services } from "../services.ts";

const CHECK_TIMEOUT_MS = 2000;

export const health: FastifyPluginAsyncZod<Pick<Services, "checks">> = async (app, { checks }) => {
  app.get(
    "/healthz",
    {
      config: { public: true },
      schema: {
        tags: ["health"],
        operationId: "health",
        summary: "Is this process alive?",
        security: [],
        response: { 200: json(Health, "It answers, so it is.") },
      },
    },
    async () => ({ status: "ok" as const, checks: {} }),
  );

  app.get(
    "/readyz",
    {
      config: { public: true },
      schema: {
        tags: ["health"],
        operationId: "ready",
        summary: "Can this process serve requests?",
        security: [],
        response: { 200: json(Health, "Yes."), 503: json(Health, "No; `checks` says why.") },
      },
    },
    async (_request, reply) => {
      const results = await runChecks(checks);
      const ready = Object.values(results).every((result) => result === "ok");
      if (ready) return { status: "ok" as const, checks: results };
      return reply.code(503).header("retry-after", "1").send({ status: "unavailable", checks: results });
    },
  );
};

async function runChecks(checks: Services["checks"]): Promise<Record<string, string>> {
  const results = Object.entries(checks).map(async ([name, run]) => [name, await outcome(run)]);
  return Object.fromEntries(await Promise.all(results));
}

async function outcome(check: () => Promise<unknown>): Promise<string> {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS).unref();
  });
  try {
    await Promise.race([check(), late]);
    return "ok";
  } catch (error) {
    return (error as Error).message;
  }
}
