/**
 * Limits attempts to guess a key. An address may send only so many wrong keys a minute. Above this
 * limit a short key works only if the same address sent it before and it was right. A long key
 * always works, since nobody can guess it. So one client in a network or behind a proxy does not
 * lock out the others.
 */
import type { FastifyRequest } from "fastify";
import { isShort } from "../../secrets.ts";
import { retryLater } from "../../contract/errors.ts";

const MAX_FAILURES = 30;
const WINDOW_MS = 60_000;
/** How many addresses are remembered. Beyond that the oldest are forgotten. */
const MAX_ADDRESSES = 10_000;

interface Address {
  failures: number;
  until: number;
  /** The right keys that this address has sent. */
  readonly trusted: Set<string>;
}

export class Attempts {
  readonly #addresses = new Map<string, Address>();

  /**
   * The owner of the secret, as `find` says; null if nobody owns it.
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

/** For IPv6 this is the network, since a client with one address has 2^64 of them. */
function addressOf(request: FastifyRequest): string {
  // A connection that has gone has none.
  const ip = (request.ip as string | undefined) ?? "";
  return ip.includes(":") && !ip.includes(".") ? ip.split(":").slice(0, 4).join(":") : ip;
}
