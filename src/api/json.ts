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
  if (members(value) <= WHOLE) return reply.send(text(value));
  return reply.send(Readable.from(jsonPieces(value), { objectMode: false }));
}

/** Typed arrays are arrays here. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, inner) => (inner instanceof Int32Array ? [...inner] : inner));
}

function isArray(value: unknown): value is unknown[] | Int32Array {
  return Array.isArray(value) || value instanceof Int32Array;
}

/** About how many numbers, strings and the like are in it. */
function members(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  if (isArray(value) && !isNested(value)) return value.length;
  return Object.values(value).reduce((sum: number, inner) => sum + members(inner), 1);
}

/** Arrays hold either plain values or objects. */
function isNested(array: unknown[] | Int32Array): boolean {
  return typeof array[0] === "object" && array[0] !== null;
}

/** The text of objects and arrays within each other; arrays of plain values are cut. */
async function* jsonPieces(value: unknown, pace = new Pace()): AsyncGenerator<string> {
  await pace.turn();
  if (members(value) <= PIECE) {
    yield text(value);
  } else if (isArray(value) && !isNested(value)) {
    yield "[";
    for (let at = 0; at < value.length; at += PIECE) {
      await pace.turn();
      yield (at === 0 ? "" : ",") + text(value.slice(at, at + PIECE)).slice(1, -1);
    }
    yield "]";
  } else if (Array.isArray(value)) {
    for (const [at, inner] of value.entries()) {
      yield at === 0 ? "[" : ",";
      yield* jsonPieces(inner, pace);
    }
    yield "]";
  } else if (typeof value === "object" && value !== null) {
    let between = "{";
    for (const [key, inner] of Object.entries(value)) {
      yield `${between}${JSON.stringify(key)}:`;
      yield* jsonPieces(inner, pace);
      between = ",";
    }
    yield between === "{" ? "{}" : "}";
  } else {
    yield JSON.stringify(value);
  }
}
