import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyReply } from "fastify";
import { retryLater } from "../../contract/errors.ts";

const WINDOW_MS = 60_000;

declare module "fastify" {
  interface FastifyReply {
    /**
     * Counts one request more. A request for many things counts as one for each.
     * @throws Problem if that is one too many
     */
    countRequest(): Promise<void>;
  }
}

/**
 * Counts each owner's requests to this process for each minute, and reports the count in the header
 * fields of the IETF's draft (RateLimit-Policy, RateLimit). Requests of orchestrators are not
 * counted.
 */
export async function limitRequests(app: FastifyInstance, perMinute: number | null): Promise<void> {
  app.decorateReply("countRequest", async () => {});
  if (perMinute === null) return;
  await app.register(rateLimit, { global: false });
  const count = app.createRateLimit({
    max: perMinute,
    timeWindow: WINDOW_MS,
    keyGenerator: ({ owner }) => owner,
    allowList: ({ routeOptions }) => routeOptions.config?.public ?? false,
  });
  const limit = async (reply: FastifyReply) => {
    const use = await count(reply.request);
    if (use.isAllowed) return;
    reply.header("ratelimit-policy", `"owner";q=${use.max};w=${WINDOW_MS / 1000}`);
    reply.header("ratelimit", `"owner";r=${use.remaining};t=${use.ttlInSeconds}`);
    if (!use.isExceeded) return;
    throw retryLater("rate_limited", `You have made the ${use.max} requests of this minute.`, use.ttlInSeconds);
  };
  app.addHook("onRequest", async (_request, reply) => {
    reply.countRequest = () => limit(reply);
    await limit(reply);
  });
}
