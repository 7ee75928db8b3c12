/**
 * Whatever goes wrong becomes a problem document: what a route throws, what Fastify refuses before
 * a route is reached, and what Node's HTTP parser refuses before there is a request.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { DatasetLost, DatasetTooLarge, InvalidDataset } from "../../data/dataset.ts";
import { diskFault } from "../../disk-fault.ts";
import { Abandoned, PoolBusy, TaskShortage } from "../../data/pool.ts";
import { errors, Problem, retryLater } from "../../contract/errors.ts";
import { Damaged, NoRoom, OutOfReach, OverLimit, Unavailable, type StoredKind } from "../../store/errors.ts";
import { newRequestId } from "../request-id.ts";
import { EARLY_HEADERS } from "./headers.ts";

const REMEDIES: Record<StoredKind, string> = {
  checkpoint: "Other checkpoints of the job may be whole.",
  model: "Post the job again: it gives the same model.",
  record: "Post the job again: it gives the same results.",
};

const TYPE = "application/problem+json";

export function sendProblem(problem: Problem, request: FastifyRequest, reply: FastifyReply): void {
  // Fastify closes the connection when it refuses a body; Node reads the rest and throws it away
  // instead, so that a client that is still sending gets to see the answer.
  reply.removeHeader("connection");
  // Node does not do so by itself once some of the body was read. The next request would wait
  // behind the rest.
  reply.raw.once("finish", () => request.raw.resume());
  closeAfterBody(request, reply);
  // What was to be sent may have had one.
  reply.removeHeader("etag");
  void reply
    .code(problem.status)
    .headers(problem.headers)
    .header("x-request-id", request.id)
    .type(TYPE)
    .send(JSON.stringify(problem.document(request.id)));
}

/**
 * Node closes a connection that the client wants closed as soon as it has answered. A client that
 * is still sending would see a broken pipe in place of the answer, as Python's do. So the rest of
 * the body is thrown away first. The time that a request may take limits how much that is.
 */
function closeAfterBody({ raw: request }: FastifyRequest, { raw: response }: FastifyReply): void {
  if (request.complete || response.shouldKeepAlive) return;
  response.shouldKeepAlive = true;
  request.once("end", () => request.socket.end());
}

export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(loggedProblem(error, request), request, reply);
}

/** What an error is for the client. The log has what the client is not told. */
export function loggedProblem(error: unknown, request: FastifyRequest): Problem {
  const problem = asProblem(error, request);
  if (error instanceof NoRoom) request.log.warn(problem.message);
  else if (problem.status >= 500) request.log.error({ err: error }, problem.message);
  return problem;
}

/** Faults of requests that fastify refuses before it runs any hook. */
export function handleEarlyError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void reply.headers(EARLY_HEADERS);
  handleError(error, request, reply);
}

function asProblem(error: unknown, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof OutOfReach) return outOfReach();
  if (error instanceof Unavailable) return unavailable(error);
  if (error instanceof Damaged) return new Problem("internal", `${error.message} ${REMEDIES[error.what]}`);
  if (error instanceof NoRoom) return noRoom(error);
  if (error instanceof OverLimit) return overLimit(error);
  if (error instanceof PoolBusy) return busy(error);
  if (error instanceof Abandoned) return new Problem("request_timeout", "The client did not wait for the answer.");
  // Nobody receives this answer, but it must be counted as a fault of the client.
  if (error === request.raw.errored) return new Problem("request_timeout", "The body was cut off.");
  if (error instanceof InvalidDataset)
    return new Problem("invalid_dataset", error.message, { line: error.line ?? undefined });
  if (error instanceof DatasetLost) return retryLater("unavailable", `${error.message} ${error.remedy}`, 30);
  const fault = diskFault(error);
  if (fault !== null) return retryLater("unavailable", `The disk that datasets are kept on ${fault}.`, 30);
  if (error instanceof TaskShortage)
    return retryLater("unavailable", "This process has no memory left for it just now.", 5);
  if (error instanceof DatasetTooLarge) return new Problem("too_large", error.message);
  return (
    fromFastify(error as FastifyError, request) ??
    new Problem("internal", `Something went wrong here. The log has more under the request id ${request.id}.`)
  );
}

function busy({ scope, waiting }: PoolBusy): Problem {
  const what = "tables, specs and schedules wait to be looked at";
  return scope === "own"
    ? retryLater("rate_limited", `${waiting} of your ${what}, the most.`, 2)
    : retryLater("unavailable", `${waiting} ${what} here, the most.`, 2);
}

const ROOM_RETRY_SECONDS = 30;
/** The log says where it was looked for. */
function outOfReach(): Problem {
  const detail = "The archive of ended jobs cannot be read just now. Its jobs are there again when it can.";
  return retryLater("unavailable", detail, 30);
}

const MAKE_ROOM = "Try again when jobs have ended, or delete some that you no longer need.";

function unavailable({ full }: Unavailable): Problem {
  if (full) return retryLater("unavailable", `The store is full. ${MAKE_ROOM}`, ROOM_RETRY_SECONDS);
  return retryLater("unavailable", "The store cannot be reached just now.", 2);
}

/**
 * What fits into an empty store is refused until there is room. What does not fit is refused for
 * good.
 */
function noRoom({ needBytes, freeBytes, limitBytes }: NoRoom): Problem {
  const need = `This may need ${needBytes} bytes in the store`;
  if (needBytes > limitBytes) {
    const remedy = "A smaller model, fewer checkpoints (checkpoint.keep_last) or fewer rows of metrics need less.";
    return new Problem("too_large", `${need}, which has ${limitBytes} in all. ${remedy}`);
  }
  return retryLater(
    "unavailable",
    `The store is full: ${need.replace("This", "this")}, and ${freeBytes} are free. ${MAKE_ROOM}`,
    ROOM_RETRY_SECONDS,
  );
}

/** What an owner may have only so much of, and what to do about it. */
export const limited = {
  waiting: { kind: "jobs waiting", remedy: "Post it again when one has started.", retrySeconds: 10 },
  predictions: { kind: "predictions over datasets", remedy: "Delete some that you no longer need.", retrySeconds: 60 },
  dataset_bytes: { kind: "bytes of datasets", remedy: "Delete some that you no longer need.", retrySeconds: 60 },
  checkpoint_bytes: {
    kind: "bytes in the store",
    remedy: "Post it again when a job has ended, or delete some that you no longer need.",
    retrySeconds: 60,
  },
  studies: {
    kind: "studies",
    remedy: "Delete ended studies that you no longer need.",
    retrySeconds: 60,
  },
  archived_bytes: {
    kind: "bytes of jobs in the archive",
    remedy: "Delete ended jobs that you no longer need.",
    retrySeconds: 60,
  },
};

/**
 * A request that would fit at another time is refused until then. One that never fits is refused
 * for good.
 */
function overLimit({ what, limit, used, more }: OverLimit): Problem {
  const { kind, remedy, retrySeconds } = limited[what];
  if (more > limit) return new Problem("too_large", `This may take ${more} ${kind}, and an owner may have ${limit}.`);
  const detail = `You may have ${limit} ${kind}; you have ${used}, and this would be ${more} more. ${remedy}`;
  return retryLater("rate_limited", detail, retrySeconds);
}

/** What Fastify itself refuses, by its codes. */
function fromFastify({ code, message, statusCode }: FastifyError, request: FastifyRequest): Problem | null {
  switch (code) {
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return wrongMediaType(request);
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new Problem("too_large", `The body may have at most ${request.routeOptions.bodyLimit} bytes.`);
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return new Problem("invalid_parameter", "The body's length is not what Content-Length says.");
    case "FST_ERR_BAD_URL":
      return new Problem(
        "invalid_parameter",
        "The URL holds a % that is not followed by two hexadecimal digits of UTF-8.",
      );
    case "FST_ERR_MAX_PARAM_LENGTH":
      return notFound();
    default:
      return statusCode && statusCode >= 400 && statusCode < 500 ? new Problem("invalid_parameter", message) : null;
  }
}

export function notFound(detail = "There is nothing here."): Problem {
  return new Problem("not_found", detail);
}

/** 415 with the types that the route wants. @param help a sentence on what else could be meant */
export function wrongMediaType(request: FastifyRequest, help = ""): Problem {
  const given = request.headers["content-type"];
  const { consumes = ["application/json"] } = request.routeOptions.schema ?? {};
  const wanted = consumes.length === 2 ? consumes.join(" or ") : consumes[0];
  const not = given === undefined ? "; it is missing" : `, not ${given.slice(0, 100)}`;
  return new Problem("unsupported_media_type", `Send ${wanted} and say so in Content-Type${not}.${help}`);
}

/** 404 for paths that no route has, 405 for paths that another method has. */
export function handleUnknownRoutes(app: FastifyInstance): void {
  const routes: { segments: string[]; method: string }[] = [];
  app.addHook("onRoute", ({ url, method }) => {
    for (const name of [method].flat()) routes.push({ segments: url.split("/"), method: name });
  });
  app.setNotFoundHandler((request) => {
    const path = request.url.split("?", 1)[0].split("/");
    const allowed = routes.filter(({ segments }) => fits(segments, path)).map(({ method }) => method);
    const help = routes.some(({ segments }) => segments[1] === "docs") ? " /docs shows what there is." : "";
    if (allowed.length === 0) throw notFound(`There is no ${path.join("/").slice(0, 200)}.${help}`);
    const allow = [...new Set(allowed)].sort().join(", ");
    throw new Problem("method_not_allowed", `${request.method} is not possible here, but ${allow} is.`, {}, { allow });
  });
}

function fits(pattern: readonly string[], path: readonly string[]): boolean {
  return (
    pattern.length === path.length &&
    pattern.every((segment, i) => segment === path[i] || (segment.startsWith(":") && path[i] !== ""))
  );
}

/** Node's own refusals, written to the socket by hand since there is no request to reply to. */
export function handleClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = fromParser(error);
  const id = newRequestId();
  const body = JSON.stringify(problem.document(id));
  const { status, title } = errors[problem.code];
  const headers = Object.entries(earlyHeaders(id, body)).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${headers.join("")}\r\n${body}`);
}

function earlyHeaders(id: string, body: string) {
  const own = { "content-type": TYPE, "content-length": Buffer.byteLength(body), "x-request-id": id };
  return { ...own, ...EARLY_HEADERS, connection: "close" };
}

function fromParser({ code }: NodeJS.ErrnoException): Problem {
  if (code === "HPE_HEADER_OVERFLOW") return new Problem("headers_too_large", "The headers may have at most 16 KiB.");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return new Problem("request_timeout", "The request took too long to arrive.");
  return new Problem("invalid_parameter", "This is not a valid HTTP request.");
}

/** Node would answer an `Expect` it does not know with an empty 417. */
export function refuseExpectations(server: Server): void {
  server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
    const id = newRequestId();
    const detail = `The only expectation met here is 100-continue, not ${String(request.headers.expect).slice(0, 100)}.`;
    const problem = new Problem("expectation_failed", detail);
    const body = JSON.stringify(problem.document(id));
    response.writeHead(problem.status, earlyHeaders(id, body)).end(body);
  });
}
