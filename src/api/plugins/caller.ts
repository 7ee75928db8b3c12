/** The owner for whom helper threads work, and whether the client still waits. */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Caller } from "../../data/pool.ts";

declare module "fastify" {
  interface FastifyReply {
    /** The owner, and a signal that aborts if the client leaves before it is answered. */
    caller(): Caller;
  }
}

export function decorateWithCaller(app: FastifyInstance): void {
  app.decorateReply("caller", function (this: FastifyReply) {
    const gone = new AbortController();
    // Not the request's event of this name, which comes once its body has been read.
    this.raw.once("close", () => {
      if (!this.raw.writableFinished) gone.abort();
    });
    if (this.raw.destroyed) gone.abort();
    return { owner: this.request.owner, signal: gone.signal };
  });
}
