/** Requests are checked against the zod schemas of their routes; responses are only written. */
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest, FastifySchemaCompiler } from "fastify";
import type { z } from "zod";
import { faulty, notJson, Problem } from "../../contract/errors.ts";
import { check, type Fault } from "../../contract/resolve/faults.ts";
import { notFound, wrongMediaType } from "./problems.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** A JSON body as it came: an idempotency key belongs to these very characters. */
    bodyText: string;
  }
  interface FastifyContextConfig {
    /** The Content-Encodings that the route undoes. */
    packings?: readonly string[];
  }
}

export function validate(app: FastifyInstance): void {
  app.setValidatorCompiler(validatorOf as FastifySchemaCompiler<unknown>);
  app.setSerializerCompiler(() => JSON.stringify);
  app.decorateRequest("bodyText", "");
  app.removeAllContentTypeParsers();
  ignoreUnwantedBodies(app);
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, text: string, done) => {
    request.bodyText = text;
    const problem = nestingProblem(text);
    if (problem !== null) return done(problem);
    if (text.length < LONG) return parse(text, done);
    // The objects of a long body are so many that to make them is a piece of work of its own.
    setImmediate(() => parse(text, (error, value) => setImmediate(done, error, value)));
  });
  app.addHook("onRequest", async (request) => {
    if (!takesBody(request)) {
      // Else a parser would be chosen by it that reads the body, and minds its length.
      delete request.raw.headers["content-type"];
      return;
    }
    const encoding = request.headers["content-encoding"] ?? "identity";
    const { packings = [] } = request.routeOptions.config;
    if (!["identity", ...packings].includes(encoding.toLowerCase())) {
      const instead = packings.length === 0 ? "" : `, or with one of ${packings.join(", ")}`;
      throw new Problem(
        "unsupported_media_type",
        `Send the body as it is, without the Content-Encoding ${encoding.slice(0, 50)}${instead}.`,
      );
    }
  });
}

/** Characters of JSON from which the event loop has turns before and after they are parsed. */
const LONG = 100_000;

function parse(text: string, done: (error: Error | null, value?: unknown) => void): void {
  let value: unknown;
  try {
    value = text === "" ? undefined : JSON.parse(text);
  } catch (error) {
    return done(notJson(error as SyntaxError));
  }
  done(null, value);
}

/**
 * Deeper than any schema, and than any cells of inline rows that should get a message of their own.
 */
const MAX_DEPTH = 64;

/** An inline table of a mebibyte has 262,144 rows at most. */
const MAX_CONTAINERS = 300_000;

/** The largest specs have some thousands. */
const MAX_MEMBERS = 30_000;

/**
 * What is wrong with the number of objects, arrays and members of objects, and with how deeply they
 * are nested. The parser takes 150 ms for a million arrays or 150,000 members; this takes 5.
 */
export function nestingProblem(text: string): Problem | null {
  const [quote, backslash] = ['"', "\\"];
  let depth = 0;
  let deepest = 0;
  let containers = 0;
  let members = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "[" || character === "{") {
      deepest = Math.max(deepest, ++depth);
      containers++;
    } else if (character === "]" || character === "}") {
      depth--;
    } else if (character === ":") {
      members++;
    } else if (character === quote) {
      for (at++; at < text.length && text[at] !== quote; at++) if (text[at] === backslash) at++;
    }
  }
  const wrong = [
    ...(deepest > MAX_DEPTH ? ["is nested too deeply"] : []),
    ...(containers > MAX_CONTAINERS
      ? [`must have at most ${MAX_CONTAINERS} objects and arrays, not ${containers}`]
      : []),
    ...(members > MAX_MEMBERS ? [`must have at most ${MAX_MEMBERS} members of objects, not ${members}`] : []),
  ];
  if (wrong.length === 0) return null;
  if (depth !== 0) return new Problem("malformed_json", "The body is not JSON: not every bracket in it is closed.");
  return faulty("invalid_spec", [{ pointer: "", message: wrong[0] }]);
}

/**
 * Routes without a body ignore one: clients send a Content-Type with every POST, and some send a
 * body. `take` gets the bodies of other routes whose type has no parser; the default refuses them.
 */
export function ignoreUnwantedBodies(
  app: FastifyInstance,
  take: (payload: IncomingMessage, request: FastifyRequest) => unknown = (_, request) => {
    throw wrongMediaType(request);
  },
): void {
  app.addContentTypeParser("*", async (request: FastifyRequest, payload: IncomingMessage) => {
    if (takesBody(request)) return take(payload, request);
    payload.resume();
  });
}

function takesBody({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.schema?.body !== undefined;
}

function validatorOf({ schema, httpPart }: { schema: z.ZodType; httpPart?: string }) {
  // JSON bodies (a job's spec, a schedule to preview) are checked where they are resolved: all
  // faults at once, those between options included.
  if (httpPart === "body") return (value: unknown) => ({ value });
  return (data: unknown) => {
    const { value, faults } = check(schema, data);
    return faults === null ? { value } : { error: refusal(httpPart, faults) };
  };
}

function refusal(part: string | undefined, faults: readonly Fault[]): Problem {
  if (part === "params") return notFound("There is no such id.");
  const mark = part === "querystring" ? "?" : "";
  return faulty(
    "invalid_parameter",
    faults.map(({ pointer, message }) => ({ pointer: mark + pointer.split("/")[1], message })),
  );
}
