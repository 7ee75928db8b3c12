/**
 * Random numbers for ids, from the system's source. A ULID asks for sixteen of them. To draw each
 * by itself takes 40 µs an id, and to draw many at once 1.
 */
import { randomFillSync } from "node:crypto";

const drawn = new Uint8Array(4096);
let used = drawn.length;

/** A multiple of 1/256 that is less than 1. */
export function random(): number {
  if (used === drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  return drawn[used++] / 256;
}
