import { createHmac } from "node:crypto";

/**
 * The `webhook-signature` of Standard Webhooks: one `v1,<base64>` for each secret, since while a
 * secret is being replaced its receiver may know either.
 */
export function signature(secrets: readonly Buffer[], id: string, timestamp: number, body: string): string {
  const content = `${id}.${timestamp}.${body}`;
  return secrets.map((secret) => `v1,${createHmac("sha256", secret).update(content).digest("base64")}`).join(" ");
}
