import { timingSafeEqual } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { hashed, type ApiKey } from "../../secrets.ts";
import { Problem } from "../../contract/errors.ts";
import type { Attempts } from "./attempts.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The owner that makes the request. An owner sees only its own things. */
    owner: string;
  }
  interface FastifyContextConfig {
    /** Served without a key. */
    public?: boolean;
  }
}

/**
 * If the service has no keys, everyone is the owner `default`. If it has keys, every route except
 * the public ones requires one.
 */
export function authenticate(app: FastifyInstance, keys: readonly ApiKey[], attempts: Attempts): void {
  app.decorateRequest("owner", "default");
  if (keys.length === 0) return;
  app.addHook("onRequest", async (request) => {
    if (request.routeOptions.config?.public) return;
    request.owner = ownerOf(request, keys, attempts);
  });
}

function ownerOf(request: FastifyRequest, keys: readonly ApiKey[], attempts: Attempts): string {
  const secret = bearerOf(request);
  if (secret === null) throw unauthorized("Send your API key: Authorization: Bearer <secret>.");
  const given = hashed(secret);
  const owner = attempts.check(request, secret, () => {
    // Digests have one length, and every key is compared, so that the time taken says nothing about
    // any of them.
    const owners = keys.filter((key) => timingSafeEqual(key.sha256, given)).map((key) => key.owner);
    return owners[0] ?? null;
  });
  if (owner === null) throw unauthorized("This API key is not known.");
  return owner;
}

/** What `Authorization: Bearer …` says, or null. */
export function bearerOf({ headers }: FastifyRequest): string | null {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? null;
}

function unauthorized(detail: string): Problem {
  return new Problem("unauthorized", detail, {}, { "www-authenticate": "Bearer" });
}
