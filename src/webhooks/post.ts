/**
 * Sends a request from inside our network to a URL that a stranger chose. Without care, anybody
 * who can post a job could make us talk to Redis, to a cloud's metadata service or to a router's
 * web page.
 *
 * The name is resolved once, and all its addresses must be public. The connection goes to exactly
 * these addresses: if the socket resolved the name again, it might get addresses that nobody
 * checked. The certificate is checked against the name, which is also in `Host`. We follow no
 * redirect, use no proxy of the environment, reuse no connection, and read only the head of the
 * response.
 *
 * A name that a stranger chose is resolved with a separate socket (c-ares). The system's resolver
 * would block a thread as long as the name's server stays silent, and the whole process has only
 * two such threads.
 */
import type { LookupAddress } from "node:dns";
import dns from "node:dns/promises";
import { request as requestHttp, type IncomingMessage, type RequestOptions } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { hostOf, isAllowed, isPublic, urlFault } from "../contract/schema/webhook.ts";

export interface PostOptions {
  /** Hosts (`host` or `host:port`) that need neither a public address nor TLS. */
  readonly allowedHosts: readonly string[];
  /** The limit for everything together. */
  readonly timeoutMs: number;
  /** Aborts the request. */
  readonly signal: AbortSignal;
  readonly resolve?: Resolve;
}

/** Finds all addresses of a host. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

export interface Reply {
  readonly status: number;
  /** How long the receiver asks us to wait, if it says so in seconds; else 0. */
  readonly retryAfterMs: number;
}

/** A receiver that sends more interim answers (1xx) than this wants to keep us busy. */
const MAX_INTERIM_ANSWERS = 8;

/** Resolves as the machine does: a host that the operator named may be in its list of hosts. */
const resolveLocally: Resolve = (host) => dns.lookup(host, { all: true });

const resolvePublicly: Resolve = async (host) => {
  const [v4, v6] = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)]);
  if (v4.status === "rejected" && v6.status === "rejected") throw v4.reason;
  const as = (family: number, found: PromiseSettledResult<string[]>) =>
    found.status === "rejected" ? [] : found.value.map((address) => ({ address, family }));
  return [...as(4, v4), ...as(6, v6)];
};

/** @throws Error if the URL may not be requested, or no answer comes in time. */
export async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  { allowedHosts, timeoutMs, signal: givenUp, resolve }: PostOptions,
): Promise<Reply> {
  const fault = urlFault(url, allowedHosts);
  if (fault !== null) throw new Error(`The URL ${fault}.`);
  const target = new URL(url);
  const signal = AbortSignal.any([givenUp, AbortSignal.timeout(timeoutMs)]);
  const allowed = isAllowed(target, allowedHosts);
  const resolver = resolve ?? (allowed ? resolveLocally : resolvePublicly);
  const addresses = await untilAborted(addressesOf(target, resolver), signal);
  if (!allowed) assertPublic(target, addresses);
  return await send(target, { ...headers, "content-length": String(Buffer.byteLength(body)) }, body, addresses, signal);
}

async function addressesOf(url: URL, resolve: Resolve): Promise<readonly LookupAddress[]> {
  const host = hostOf(url);
  const family = isIP(host);
  return family === 0 ? await resolve(host) : [{ address: host, family }];
}

/**
 * One address that is not public is enough to refuse: a name that has both is somebody's attempt.
 */
function assertPublic({ hostname }: URL, addresses: readonly LookupAddress[]): void {
  if (addresses.length === 0) throw new Error(`${hostname} has no address.`);
  const hidden = addresses.find(({ address }) => !isPublic(address));
  if (hidden) throw new Error(`${hostname} is at ${hidden.address}, which is not on the public internet.`);
}

async function send(
  url: URL,
  headers: Record<string, string>,
  body: string,
  addresses: readonly LookupAddress[],
  signal: AbortSignal,
): Promise<Reply> {
  const options: RequestOptions = {
    method: "POST",
    headers,
    signal,
    agent: false,
    lookup: (_host, { all }, done) =>
      all ? done(null, [...addresses]) : done(null, addresses[0].address, addresses[0].family),
  };
  const request = url.protocol === "https:" ? requestHttps(url, options) : requestHttp(url, options);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.on("response", resolve);
  let interim = 0;
  request.on("information", () => {
    if (++interim > MAX_INTERIM_ANSWERS)
      request.destroy(new Error("The receiver goes on giving interim answers (1xx)."));
  });
  request.on("error", reject);
  request.on("close", () => reject(new Error("The connection was closed without an answer.")));
  request.end(body);
  const { statusCode, headers: answered } = await promise.finally(() => request.destroy());
  return { status: statusCode!, retryAfterMs: secondsOf(answered["retry-after"]) * 1000 };
}

function secondsOf(retryAfter = ""): number {
  return /^\d{1,9}$/.test(retryAfter) ? Number(retryAfter) : 0;
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => aborted.reject(signal.reason));
  return await Promise.race([work, aborted.promise]);
}
