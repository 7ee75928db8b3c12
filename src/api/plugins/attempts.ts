/**
 * Attempts to guess a key. An address may send only so many wrong keys a minute. Beyond that a
 * short key works only if it was right from there before. A long one always works, since nobody
 * guesses it: one guest of a network, or client of a proxy, does not lock out the others.
 */
import type { FastifyRequest } from "fastify";
import { isShort } from "../../secrets.ts";
import { retryLater } from "../../spec/errors.ts";

const MAX_FAILURES = 30;
const WINDOW_MS = 60_000;
/** How many addresses are remembered. Beyond that the oldest are forgotten. */
const MAX_ADDRESSES = 10_000;

interface Address {
  failures: number;
  until: number;
  /** The keys that were right from there. */
  readonly trusted: Set<string>;
}

export class Attempts {
  readonly #addresses = new Map<string, Address>();

  /**
   * Whose the secret is, by `find`; null if nobody's.
   * @throws Problem if too many wrong ones came from there
   */
  check(request: FastifyRequest, secret: string, find: () => string | null): string | null {
    const name = addressOf(request);
    const known = this.#addresses.get(name);
    const address = known ?? { failures: 0, until: 0, trusted: new Set<string>() };
    const now = performance.now();
    if (now >= address.until) address.failures = 0;
    const owner = find();
    if (owner !== null && (address.failures < MAX_FAILURES || address.trusted.has(owner) || !isShort(secret))) {
      if (!address.trusted.has(owner)) this.#remember(name, address).trusted.add(owner);
      return owner;
    }
    if (address.failures >= MAX_FAILURES) {
      const seconds = Math.ceil((address.until - now) / 1000);
      const detail = `Your address sent ${MAX_FAILURES} wrong keys within a minute. Wait before you try another.`;
      throw retryLater("rate_limited", detail, seconds);
    }
    if (address.failures === 0) address.until = now + WINDOW_MS;
    this.#remember(name, address).failures++;
    return null;
  }

  #remember(name: string, address: Address): Address {
    this.#addresses.delete(name);
    this.#addresses.set(name, address);
    if (this.#addresses.size > MAX_ADDRESSES) this.#addresses.delete(this.#addresses.keys().next().value!);
    return address;
  }
}

/** Of IPv6 the network, since whoever has one address there has 2^64. */
function addressOf(request: FastifyRequest): string {
  // A connection that has gone has none.
  const ip = (request.ip as string | undefined) ?? "";
  return ip.includes(":") && !ip.includes(".") ? ip.split(":").slice(0, 4).join(":") : ip;
}
