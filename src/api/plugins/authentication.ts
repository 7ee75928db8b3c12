import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ApiKey } from "../../config.ts";
import { Problem } from "../../spec/errors.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Whose request this is; he sees only what is his. */
    owner: string;
  }
  interface FastifyContextConfig {
    /** Served without a key. */
    public?: boolean;
  }
}

/** Without keys everyone is `default`; with keys every route but the public ones wants one. */
export function authenticate(app: FastifyInstance, keys: readonly ApiKey[]): void {
  const known = keys.map(({ owner, secret }) => ({ owner, digest: digest(secret) }));
  app.decorateRequest("owner", "default");
  if (known.length === 0) return;
  app.addHook("onRequest", async (request) => {
    if (request.routeOptions.config?.public) return;
    request.owner = ownerOf(request, known);
  });
}

function ownerOf(request: FastifyRequest, known: readonly { owner: string; digest: Buffer }[]): string {
  const [, secret] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (secret === undefined) throw unauthorized("Send your API key: Authorization: Bearer <secret>.");
  const given = digest(secret);
  // Digests have one length, and every key is compared, so that the time taken says nothing about any of them.
  const owners = known.filter((key) => timingSafeEqual(key.digest, given)).map((key) => key.owner);
  if (owners.length === 0) throw unauthorized("This API key is not known.");
  return owners[0];
}

function unauthorized(detail: string): Problem {
  return new Problem("unauthorized", detail, {}, { "www-authenticate": "Bearer" });
}

function digest(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
