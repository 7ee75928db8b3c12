import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { Pace } from "./pace.ts";

/** Numbers that are written at once: some hundred microseconds of work. */
const PIECE = 1000;
/** A shorter answer is written as a whole. */
const WHOLE = 4 * PIECE;

/** Sends JSON in which there may be very many numbers, without holding up the event loop. */
export function sendLongJson(reply: FastifyReply, value: object): FastifyReply {
  reply.type("application/json; charset=utf-8");
  if (members(value) <= WHOLE) return reply.send(JSON.stringify(value));
  return reply.send(Readable.from(pieces(value, new Pace()), { objectMode: false }));
}

/** About how many numbers, strings and the like are in it. */
function members(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  if (Array.isArray(value)) return value.length;
  return Object.values(value).reduce((sum: number, inner) => sum + members(inner), 1);
}

/**
 * The text of objects and arrays within each other. Arrays of plain values are cut, others are
 * written whole.
 */
async function* pieces(value: unknown, pace: Pace): AsyncGenerator<string> {
  await pace.turn();
  if (Array.isArray(value)) {
    yield "[";
    for (let at = 0; at < value.length; at += PIECE) {
      await pace.turn();
      yield (at === 0 ? "" : ",") + JSON.stringify(value.slice(at, at + PIECE)).slice(1, -1);
    }
    yield "]";
  } else if (typeof value === "object" && value !== null) {
    let between = "{";
    for (const [key, inner] of Object.entries(value)) {
      yield `${between}${JSON.stringify(key)}:`;
      yield* pieces(inner, pace);
      between = ",";
    }
    yield between === "{" ? "{}" : "}";
  } else {
    yield JSON.stringify(value);
  }
}
