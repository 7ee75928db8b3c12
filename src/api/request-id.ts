import type { IncomingMessage } from "node:http";
import { ulid } from "ulid";
import { random } from "../random.ts";

/**
 * The caller's `x-request-id` if it is sane, so that a request can be followed through several
 * services; else a new one.
 */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && /^[\w.:+/=-]{1,128}$/.test(given) ? given : newRequestId();
}

export function newRequestId(): string {
  return `req_${ulid(undefined, random).toLowerCase()}`;
}
