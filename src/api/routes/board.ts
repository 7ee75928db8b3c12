/**
 * The queues' dashboard (bull-board), read-only. The record has the state of a job; the queue only
 * wakes workers.
 */
import { timingSafeEqual } from "node:crypto";
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { FastifyAdapter } from "@bull-board/fastify";
import type { Queue } from "bullmq";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Problem } from "../../contract/errors.ts";
import type { Attempts } from "../plugins/attempts.ts";
import { bearerOf } from "../plugins/authentication.ts";
import { sendProblem } from "../plugins/problems.ts";
import { hashed } from "../../secrets.ts";

/** No owner can be called that. */
const ADMIN = "/admin";

const PREFIX = "/admin/queues";

/** The page may load its own files; the fonts it asks another host for it can do without. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'self'",
  "frame-ancestors 'none'",
].join("; ");

export interface BoardOptions {
  readonly queues: readonly Queue[];
  readonly adminKey: string;
  readonly attempts: Attempts;
}

export async function board(app: FastifyInstance, { queues, adminKey, attempts }: BoardOptions): Promise<void> {
  const adapter = new FastifyAdapter().setBasePath(PREFIX);
  createBullBoard({
    queues: queues.map((queue) => new BullMQAdapter(queue, { readOnlyMode: true })),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: "Rappel" } },
  });
  /** Null: the key is right. */
  const refusalOf = (request: FastifyRequest): Problem | null => {
    const secret = secretOf(request);
    try {
      // A browser's first request has none, which is no attempt.
      const find = () => (same(secret, adminKey) ? ADMIN : null);
      const right = secret !== "" && attempts.check(request, secret, find) !== null;
      const headers = { "www-authenticate": 'Basic realm="Rappel", charset="UTF-8"' };
      return right ? null : new Problem("unauthorized", "The admin key is needed, as a password.", {}, headers);
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  };
  // The dashboard has its own key. The keys of owners do not open it.
  app.addHook("onRoute", (route) => {
    route.config = { ...route.config, public: true };
  });
  app.addHook("onRequest", async (request, reply) => {
    const problem = refusalOf(request);
    if (problem === null) {
      reply.header("content-security-policy", PAGE_POLICY);
      return;
    }
    // The board has an error handler of its own, which would make something else of it.
    sendProblem(problem, request, reply);
    return reply;
  });
  await app.register(adapter.registerPlugin(), { prefix: PREFIX });
}

/** As a bearer token, or as the password that a browser asks for; the name does not matter. */
function secretOf(request: FastifyRequest): string {
  const [, basic] = /^Basic +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (basic === undefined) return bearerOf(request) ?? "";
  return Buffer.from(basic, "base64")
    .toString()
    .replace(/^[^:]*:/, "");
}

/** In a time that says nothing about either. */
function same(given: string, wanted: string): boolean {
  return timingSafeEqual(hashed(given), hashed(wanted));
}
