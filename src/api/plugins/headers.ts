import helmet from "@fastify/helmet";
import type { FastifyInstance } from "fastify";

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
