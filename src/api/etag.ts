import { hash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";

/** Sends `body` under a strong ETag, or 304 if the client has it. */
export function sendTagged(request: FastifyRequest, reply: FastifyReply, tag: string, body: unknown): FastifyReply {
  const etag = `"${tag}"`;
  reply.header("etag", etag);
  // Revalidate every time: it costs next to nothing, and what is cached may be another owner's
  // after a change of keys.
  reply.header("cache-control", "private, no-cache");
  if (has(request, etag)) return reply.code(304).send();
  return reply.send(body);
}

/** Sends JSON under an ETag that is its hash. */
export function sendJsonTagged(request: FastifyRequest, reply: FastifyReply, value: unknown): FastifyReply {
  const body = JSON.stringify(value);
  return sendTagged(request, reply.type("application/json; charset=utf-8"), hashed(body), body);
}

/** Whether `sendTagged` would send a 304. */
export function isTagged(request: FastifyRequest, tag: string): boolean {
  return has(request, `"${tag}"`);
}

/** Whether that would be a 304: the client has this very value. */
export function isKnown(request: FastifyRequest, value: unknown): boolean {
  return has(request, `"${hashed(JSON.stringify(value))}"`);
}

function hashed(body: string): string {
  return hash("sha256", body, "base64url").slice(0, 22);
}

/** If-None-Match compares weakly (RFC 9110, 13.1.2). */
function has({ headers }: FastifyRequest, etag: string): boolean {
  const header = headers["if-none-match"];
  if (header === undefined) return false;
  return header.split(",").some((candidate) => ["*", etag].includes(candidate.trim().replace(/^W\//, "")));
}
