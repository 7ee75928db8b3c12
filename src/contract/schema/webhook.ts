/**
 * Where the events of a job or a study may be sent. A client gives the URL, and the service
 * requests it from inside its own network. So the URL must be https and lead to the public
 * internet, unless the operator allows its host (RAPPEL_WEBHOOK_ALLOW). This file checks what the
 * URL alone shows. The addresses that its name resolves to are checked when something is sent
 * (src/webhooks/post.ts).
 */
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { EventType } from "./event-type.ts";

export const webhookUrl = z
  .string()
  .max(2048)
  .describe("Where to send events: https, and on the public internet unless the operator allows the host.")
  .meta({ examples: ["https://platform.example/hooks/rappel"] });

export const Webhook = z
  .strictObject({
    url: webhookUrl,
    events: z
      .array(EventType.exclude(["webhook_failed"]))
      .min(1)
      .max(EventType.options.length)
      .default(["succeeded", "failed", "cancelled"])
      .describe("The types of the events to send."),
  })
  .nullable()
  .default(null)
  .describe("Sends the events of the job to a URL, signed by the rules of Standard Webhooks.");
export type Webhook = NonNullable<z.output<typeof Webhook>>;

/** The fault of a webhook's URL, as the end of a sentence; null if it shows none. */
export function urlFault(text: string, allowedHosts: readonly string[]): string | null {
  if (!URL.canParse(text)) return "must be a URL such as https://platform.example/hooks/rappel";
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    return "must not hold a user name or password: the signature shows who sends";
  }
  if (isAllowed(url, allowedHosts)) {
    return ["http:", "https:"].includes(url.protocol) ? null : "must begin with https:// or http://";
  }
  if (url.protocol !== "https:")
    return "must begin with https:// (unless the operator lists the host in RAPPEL_WEBHOOK_ALLOW)";
  const host = hostOf(url);
  if (host === "localhost" || (ipaddr.isValid(host) && !isPublic(host))) {
    return `must be on the public internet, and ${host} is not (the operator can list it in RAPPEL_WEBHOOK_ALLOW)`;
  }
  return null;
}

/** Whether the operator allows the host of the URL, at any port or at this one. */
export function isAllowed({ hostname, port, protocol }: URL, allowedHosts: readonly string[]): boolean {
  const usual = protocol === "https:" ? "443" : "80";
  return allowedHosts.includes(hostname) || allowedHosts.includes(`${hostname}:${port || usual}`);
}

/** The host in the form for resolvers and sockets: IPv6 without brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

const globalUnicast = ipaddr.IPv6.parseCIDR("2000::/3");

/**
 * Addresses that look public but lead to a service of the cloud that the machine is in: only Azure
 * has one. Those of other clouds are link-local (169.254.169.254), shared (Alibaba's
 * 100.100.100.200), reserved (Oracle's 192.0.0.192) or private (Amazon's fd00:ec2::254, Google's
 * fd20:ce::254).
 */
const cloudServices = ["168.63.129.16"];

/**
 * Whether an address is known to be on the public internet. All others are refused: private,
 * shared, loopback, link-local, multicast and reserved addresses, and all those that stand for
 * another address (IPv4-mapped, NAT64, 6to4, Teredo).
 */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address) || cloudServices.includes(address)) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast") return false;
  return parsed instanceof ipaddr.IPv4 || parsed.match(globalUnicast);
}
