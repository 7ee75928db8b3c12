/**
 * Events as the store holds them. An element of a job's list is one event as JSON, or several of
 * one type that the end of a run has packed: `<type> <count> <run> <created_at>\n` and compressed
 * JSON, an array of the events. Events after the first `count` do not count: there were too many. A
 * small job tells nearly all its events at its end, and a hundred evaluations take 6 KB so instead
 * of 40.
 */
import { zstdDecompressSync } from "node:zlib";
import type { Event } from "../contract/wire/event.ts";
import type { NewEvent } from "./record.ts";
import { compressed } from "./compressed.ts";
import { toTime } from "./record.ts";

/** Fewer of a type are not worth packing. */
const LEAST_PACKED = 4;

/** Events as lua/finish.lua takes them: each a text, or the number of one of the packs. */
export interface EventsToWrite {
  readonly events: (string | number)[];
  readonly packs: Buffer[];
}

/** Packs events of one type that follow each other. */
export function packEvents(events: readonly NewEvent[]): EventsToWrite {
  const written: EventsToWrite = { events: [], packs: [] };
  for (let from = 0, to = 1; from < events.length; from = to++) {
    while (to < events.length && events[to].type === events[from].type) to++;
    const texts = events.slice(from, to).map((event) => JSON.stringify(event));
    if (texts.length < LEAST_PACKED) {
      for (const text of texts) written.events.push(text);
      continue;
    }
    const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    const head = Buffer.from(`${events[from].type} ${texts.length} ${bytes}\n`);
    written.events.push(written.packs.length);
    written.packs.push(Buffer.concat([head, compressed(Buffer.from(`[${texts.join(",")}]`))]));
  }
  return written;
}

/**
 * The events after the first `from`, at most `most`. Elements before them are not unpacked.
 * @param before how many events come before these elements
 */
export function eventsIn(elements: Iterable<Buffer>, before: number, from: number, most: number): Event[] {
  const events: Event[] = [];
  let place = before;
  for (const element of elements) {
    if (events.length >= most) break;
    const count = countOf(element);
    if (place + count > from) {
      const [first, last] = [Math.max(from - place, 0), from + most - place];
      for (const event of contentOf(element).slice(first, last)) events.push(toEvent(from + events.length + 1, event));
    }
    place += count;
  }
  return events;
}

type StoredEvent = NewEvent & { run: number; created_at: number };

const OBJECT = "{".charCodeAt(0);

function countOf(element: Buffer): number {
  return element[0] === OBJECT ? 1 : headOf(element).count;
}

function headOf(element: Buffer) {
  const end = element.indexOf("\n");
  const [, count, run, created_at] = element.toString("latin1", 0, end).split(" ").map(Number);
  return { end, count, run, created_at };
}

function contentOf(element: Buffer): StoredEvent[] {
  if (element[0] === OBJECT) return [JSON.parse(element.toString())];
  const { end, count, run, created_at } = headOf(element);
  const events = JSON.parse(zstdDecompressSync(element.subarray(end + 1)).toString()) as NewEvent[];
  return events.slice(0, count).map((event) => ({ ...event, run, created_at }));
}

function toEvent(place: number, { run, step, type, message, data, created_at }: StoredEvent): Event {
  return { id: String(place), run, step, type, message, data, created_at: toTime(created_at) };
}
