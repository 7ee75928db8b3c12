import { Health } from "../../spec/wire.ts";
import { json } from "../responses.ts";
import type { FastifyReply } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { Checks, Services } from "../services.ts";

const CHECK_TIMEOUT_MS = 2000;

export const health: FastifyPluginAsyncZod<Pick<Services, "checks" | "vitals">> = async (app, services) => {
  const { checks, vitals } = services;
  app.get(
    "/healthz",
    {
      config: { public: true },
      schema: {
        tags: ["health"],
        operationId: "health",
        summary: "Is this process alive?",
        security: [],
        description: "It answers, so its event loop turns; and no crew of its worker has stood still for 30 seconds.",
        response: { 200: json(Health, "Yes."), 503: json(Health, "No; `checks` says why. Start it anew.") },
      },
    },
    (_request, reply) => answer(vitals, reply),
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
    (_request, reply) => answer(checks, reply),
  );
};

async function answer(checks: Checks, reply: FastifyReply): Promise<Health> {
  const results = await runChecks(checks);
  if (Object.values(results).every((result) => result === "ok")) return { status: "ok", checks: results };
  reply.code(503).header("retry-after", "1");
  return { status: "unavailable", checks: results };
}

async function runChecks(checks: Checks): Promise<Record<string, string>> {
  const results = Object.entries(checks).map(async ([name, run]) => [name, await outcome(run)]);
  return Object.fromEntries(await Promise.all(results));
}

async function outcome(check: () => unknown): Promise<string> {
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
