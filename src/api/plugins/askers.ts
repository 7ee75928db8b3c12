/** For whom work in helper threads is done, and whether anybody still waits for it. */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Asker } from "../../data/pool.ts";

declare module "fastify" {
  interface FastifyReply {
    /** The owner, and a signal that aborts when the client is gone before it was answered. */
    asker(): Asker;
  }
}

export function nameAskers(app: FastifyInstance): void {
  app.decorateReply("asker", function (this: FastifyReply) {
    const gone = new AbortController();
    // Not the request's event of this name, which comes once its body has been read.
    this.raw.once("close", () => {
      if (!this.raw.writableFinished) gone.abort();
    });
    if (this.raw.destroyed) gone.abort();
    return { owner: this.request.owner, signal: gone.signal };
  });
}
