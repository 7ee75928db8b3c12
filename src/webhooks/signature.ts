import { createHmac } from "node:crypto";

/**
 * The `webhook-signature` of Standard Webhooks: one `v1,<base64>` for each secret, because a
 * receiver may know either secret while one replaces the other.
 */
export function signature(secrets: readonly Buffer[], id: string, timestamp: number, body: string): string {
  const content = `${id}.${timestamp}.${body}`;
  return secrets.map((secret) => `v1,${createHmac("sha256", secret).update(content).digest("base64")}`).join(" ");
}
