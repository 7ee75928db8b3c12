/** What responses of many routes have in common, for openapi.yaml. */
import type { Readable } from "node:stream";
import { z } from "zod";
import { errors, type ErrorCode } from "../contract/errors.ts";
import { ProblemDocument } from "../contract/wire/problem.ts";

/** What any route with a key may answer; a URL can be no URL. */
const EVERYWHERE: readonly ErrorCode[] = [
  "invalid_parameter",
  "unauthorized",
  "foreign_origin",
  "rate_limited",
  "internal",
  "unavailable",
];

/**
 * The problem responses of a route, by status. The type says nothing of them, so that a handler's
 * replies are checked against its own responses; problems are thrown.
 */
export function problems(...codes: ErrorCode[]): object {
  return onlyProblems(...codes, ...EVERYWHERE);
}

/** Those of a route that may not answer what any other may. */
export function onlyProblems(...codes: ErrorCode[]): object {
  const byStatus = Map.groupBy(codes, (code) => errors[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: `${errors[group[0]].title}: ${group.map((code) => `\`${code}\``).join(" or ")}.`,
        content: { "application/problem+json": { schema: ProblemDocument } },
      },
    ]),
  );
}

/** A response that is not JSON, of one of these types. */
export function bytes(type: string, description: string, ...others: string[]) {
  const schema = z.custom<Readable | Buffer>().meta({ type: "string", format: "binary" });
  return { description, content: Object.fromEntries([type, ...others].map((each) => [each, { schema }])) };
}

/** A JSON response with a description of its own. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { "application/json": { schema } } };
}

export const notModified = z.undefined().describe("What the client has is up to date.");
