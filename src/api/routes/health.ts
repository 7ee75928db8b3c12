import { retrying } from "../../retries.ts";
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
  const health = { checks: results, retrying: retrying() };
  if (Object.values(results).every((result) => result === "ok")) return { status: "ok", ...health };
  reply.code(503).header("retry-after", "1");
  return { status: "unavailable", ...health };
}

async function runChecks(checks: Checks): Promise<Record<string, string>> {
  const results = Object.entries(checks).map(async ([name, run]) => [name, await outcome(run)]);
  return Object.fromEntries(await Promise.all(results));
}

async function outcome(check: () => unknown): Promise<string> {
  const { promise: late, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(`no answer within ${CHECK_TIMEOUT_MS} ms`), CHECK_TIMEOUT_MS);
  try {
    return await Promise.race([Promise.resolve(check()).then(() => "ok"), late]);
  } catch (error) {
    return (error as Error).message;
  } finally {
    clearTimeout(timer);
  }
}
