import helmet from "@fastify/helmet";
import type { FastifyInstance } from "fastify";

/**
 * Headers by which a browser does nothing with an answer that it was not meant for: nothing here is
 * a page, but for /docs, which says so itself.
 */
export async function protect(app: FastifyInstance): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { "default-src": ["'none'"], "frame-ancestors": ["'none'"] },
    },
    // Whether a host is to be reached by TLS only is for whoever ends the TLS to say.
    strictTransportSecurity: false,
  });
}
