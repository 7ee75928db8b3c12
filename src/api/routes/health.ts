import { retrying } from "../../retries.ts";
import { Health } from "../../contract/wire/status.ts";
import { json, onlyProblems } from "../responses.ts";
import type { FastifyReply } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import type { Checks, Services } from "../services.ts";

const CHECK_TIMEOUT_MS = 2000;

export const health: FastifyPluginAsyncZod<Pick<Services, "checks" | "livenessChecks">> = async (app, services) => {
  const { checks, livenessChecks } = services;
  app.get(
    "/healthz",
    {
      config: { public: true },
      schema: {
        tags: ["health"],
        operationId: "health",
        summary: "Is this process alive?",
        security: [],
        description:
          "It answers, so its event loop turns; and no run of its worker stands still: no crew for 30 seconds, none that prepares for ten minutes or that ends for two.",
        response: {
          200: json(Health, "Yes."),
          503: json(Health, "No; `checks` says why. Start it anew."),
          ...onlyProblems("foreign_origin"),
        },
      },
    },
    (_request, reply) => answer(livenessChecks, reply),
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
        response: {
          200: json(Health, "Yes."),
          503: json(Health, "No; `checks` says why."),
          ...onlyProblems("foreign_origin"),
        },
      },
    },
    (_request, reply) => answer(checks, reply),
  );
};

async function answer(checks: Checks, reply: FastifyReply): Promise<Health> {
  const results = await runChecks(checks);
  const checked = Object.entries(results).map(([name, { message }]) => [name, message]);
  const health = { checks: Object.fromEntries(checked) as Health["checks"], retrying: retrying() };
  const found = Object.values(results).map(({ status }) => status);
  if (found.every((status) => status !== "unavailable")) {
    return { status: found.includes("degraded") ? "degraded" : "ok", ...health };
  }
  reply.code(503).header("retry-after", "1");
  return { status: "unavailable", ...health };
}

interface Result {
  readonly status: Health["status"];
  readonly message: string;
}

async function runChecks(checks: Checks): Promise<Record<string, Result>> {
  const results = Object.entries(checks).map(async ([name, run]) => [name, await outcome(run)]);
  return Object.fromEntries(await Promise.all(results));
}

async function outcome(check: () => unknown): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`)), CHECK_TIMEOUT_MS);
  try {
    const message = await Promise.race([check(), late]);
    return typeof message === "string" ? { status: "degraded", message } : { status: "ok", message: "ok" };
  } catch (error) {
    return { status: "unavailable", message: (error as Error).message };
  } finally {
    clearTimeout(timer);
  }
}
