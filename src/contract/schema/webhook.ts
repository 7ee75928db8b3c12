/**
 * Where a job's events may be sent. A URL comes from a client and is requested by us, from inside
 * our network: unless the operator names its host (RAPPEL_WEBHOOK_ALLOW) it must be https and lead
 * to the public internet. Here is what can be seen from the URL alone; what its name resolves to is
 * checked when something is sent (src/webhooks/post.ts).
 */
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { EventType } from "./event-type.ts";

export const Webhook = z
  .strictObject({
    url: z
      .string()
      .max(2048)
      .describe("Where to send: https, on the public internet unless the operator allows its host.")
      .meta({ examples: ["https://platform.example/hooks/rappel"] }),
    events: z
      .array(EventType.exclude(["webhook_failed"]))
      .min(1)
      .max(EventType.options.length)
      .default(["succeeded", "failed", "cancelled"])
      .describe("The types of the events to send."),
  })
  .nullable()
  .default(null)
  .describe("Sends the job's events to a URL, signed as Standard Webhooks has it.");
export type Webhook = NonNullable<z.output<typeof Webhook>>;

/** What is wrong with a webhook's URL, as the end of a sentence; null if nothing can be seen. */
export function urlFault(text: string, allowedHosts: readonly string[]): string | null {
  if (!URL.canParse(text)) return "must be a URL such as https://platform.example/hooks/rappel";
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    return "must not hold a user name or password: the signature says who sends";
  }
  if (isAllowed(url, allowedHosts)) {
    return ["http:", "https:"].includes(url.protocol) ? null : "must begin with https:// or http://";
  }
  if (url.protocol !== "https:") return "must begin with https:// (RAPPEL_WEBHOOK_ALLOW names the hosts that need not)";
  const host = hostOf(url);
  if (host === "localhost" || (ipaddr.isValid(host) && !isPublic(host))) {
    return `must be on the public internet, which ${host} is not (RAPPEL_WEBHOOK_ALLOW names the hosts that need not be)`;
  }
  return null;
}

/** Whether the operator allows the URL's host, at any port or at this one. */
export function isAllowed({ hostname, port, protocol }: URL, allowedHosts: readonly string[]): boolean {
  const usual = protocol === "https:" ? "443" : "80";
  return allowedHosts.includes(hostname) || allowedHosts.includes(`${hostname}:${port || usual}`);
}

/** The host as resolvers and sockets take it: IPv6 without its brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Addresses that look public and lead to a service of the machine's own cloud: Azure's. Those of
 * the other clouds are link-local (169.254.169.254), shared (Alibaba's 100.100.100.200), reserved
 * (Oracle's 192.0.0.192) or private (Amazon's fd00:ec2::254, Google's fd20:ce::254) anyway.
 */
const cloudServices = ["168.63.129.16"];

/**
 * Whether an address is one of the public internet's. What is not known to be is not: private,
 * shared, loopback, link-local and multicast addresses, those that stand for another address
 * (IPv4-mapped, NAT64, 6to4, Teredo) whatever that is, and whatever is reserved.
 */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address) || cloudServices.includes(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast") return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(globalUnicast);
}
