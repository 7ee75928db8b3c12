/** The answer to a request for events: a page of them, or a stream. */
import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Page } from "../contract/wire/common.ts";
import type { PageOptions } from "../store/pages.ts";
import type { Followed, Follower, Happened } from "./follow.ts";
import { numberCursor } from "./requests.ts";

export const EVENT_STREAM = "text/event-stream";
/** What is made of a stream before its client has taken it. */
const AHEAD_BYTES = 16 * 1024;

export const eventHeaders = z.looseObject({
  "last-event-id": z
    .union([z.literal(""), numberCursor])
    .optional()
    .describe("Of a stream: where to go on."),
});

interface Asked<E extends Happened> {
  readonly source: { events(owner: string, id: string, page: PageOptions): Promise<Page<E> | null> };
  readonly follower: Follower;
  readonly followed: Followed;
  readonly query: PageOptions;
  /** Whether no more events come. */
  over(): Promise<boolean>;
  missing(): Error;
}

/** The types of Fastify do not know that a reply may be answered with. */
export async function sendEvents<E extends Happened>(
  request: Pick<FastifyRequest, "method" | "headers">,
  reply: FastifyReply,
  { source, follower, followed, query, over, missing }: Asked<E>,
): Promise<Page<E>> {
  const streams = wantsStream(request);
  reply.header("vary", "accept");
  const lastId = request.headers["last-event-id"] as string | undefined;
  const after = (streams && lastId) || query.after;
  // First, so that the page has the event that ended it.
  const isOver = streams && (await over());
  const page = await source.events(followed.owner, followed.id, { limit: query.limit, after });
  if (page === null) throw missing();
  if (!streams) return page;
  if (page.data.length === 0 && isOver) return reply.code(204).send() as never;
  const stream = follower.follow(followed, after ?? "0", reply.pointless());
  // Proxies would keep it back, or keep the connection when it is over.
  reply.headers({ "cache-control": "no-store", "x-accel-buffering": "no", connection: "close" }).type(EVENT_STREAM);
  return reply.send(Readable.from(stream, { objectMode: false, highWaterMark: AHEAD_BYTES })) as never;
}

function wantsStream({ method, headers }: Pick<FastifyRequest, "method" | "headers">): boolean {
  return method === "GET" && (headers.accept ?? "").toLowerCase().includes(EVENT_STREAM);
}
