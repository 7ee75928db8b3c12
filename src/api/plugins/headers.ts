import helmet from "@fastify/helmet";
import type { FastifyInstance } from "fastify";

/** What matters of them in a refusal that comes before all hooks, such as one of a broken URL. */
export const EARLY_HEADERS = {
  "content-security-policy": "default-src 'none';frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "SAMEORIGIN",
} as const;

/**
 * Headers that stop a browser from using an answer as a page, a script or a frame. Only /docs is a
 * page, and it sets its own headers.
 */
export async function protect(app: FastifyInstance): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"] },
    },
    // Whether clients must use TLS is decided by the proxy that ends TLS.
    strictTransportSecurity: false,
  });
}
