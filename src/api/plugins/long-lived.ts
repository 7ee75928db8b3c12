/** Replies that wait for something to happen, and must not outlive those who wait for them. */
import type { FastifyInstance, FastifyReply } from "fastify";

declare module "fastify" {
  interface FastifyReply {
    /** Aborts once nobody waits for this reply any more: the client is gone, or the service shuts down. */
    pointless(): AbortSignal;
  }
}

export function endLongLived(app: FastifyInstance): void {
  const waiting = new Map<AbortController, FastifyReply>();
  app.addHook("preClose", async () => {
    for (const [controller, reply] of waiting) {
      // The client may take its next request elsewhere.
      reply.header("connection", "close");
      controller.abort();
    }
  });
  app.decorateReply("pointless", function (this: FastifyReply) {
    const controller = new AbortController();
    waiting.set(controller, this);
    this.raw.once("close", () => {
      waiting.delete(controller);
      controller.abort();
    });
    return controller.signal;
  });
}
