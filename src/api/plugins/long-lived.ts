/**
 * Replies that wait for something to happen. Their number is limited, and they end when their
 * client leaves.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import { meters } from "../../meters.ts";
import { retryLater } from "../../contract/errors.ts";

declare module "fastify" {
  interface FastifyReply {
    /**
     * Aborts once nobody waits for this reply any more: the client is gone, or the service shuts
     * down.
     * @throws Problem if too many wait already
     */
    pointless(): AbortSignal;
  }
}

export interface LongLivedLimits {
  readonly ofProcess: number;
  readonly ofOwner: number;
}

/** A stream takes a connection and some kilobytes. */
export const longLivedLimits: LongLivedLimits = { ofProcess: 10_000, ofOwner: 2000 };
const RETRY_SECONDS = 5;

export function endLongLived(app: FastifyInstance, limits: LongLivedLimits): void {
  const waiting = new Map<AbortController, FastifyReply>();
  const byOwner = new Map<string, number>();
  app.addHook("preClose", async () => {
    for (const [controller, reply] of waiting) {
      // The client may take its next request elsewhere.
      reply.header("connection", "close");
      controller.abort();
    }
  });
  app.decorateReply("pointless", function (this: FastifyReply) {
    // A client that went while something else was awaited gives no event any more.
    if (this.raw.destroyed) return AbortSignal.abort();
    const { owner } = this.request;
    const others = byOwner.get(owner) ?? 0;
    refuseBeyond(limits, waiting.size, others);
    const controller = new AbortController();
    this.longLived = true;
    waiting.set(controller, this);
    meters.longLived.set(waiting.size);
    byOwner.set(owner, others + 1);
    this.raw.once("close", () => {
      waiting.delete(controller);
      meters.longLived.set(waiting.size);
      const left = byOwner.get(owner)! - 1;
      if (left === 0) byOwner.delete(owner);
      else byOwner.set(owner, left);
      controller.abort();
    });
    return controller.signal;
  });
}

function refuseBeyond({ ofProcess, ofOwner }: LongLivedLimits, all: number, own: number): void {
  const what = "streams and long polls";
  if (own >= ofOwner) throw retryLater("rate_limited", `You have ${own} ${what} open here, the most.`, RETRY_SECONDS);
  if (all >= ofProcess)
    throw retryLater("unavailable", `This process has ${all} ${what} open, the most.`, RETRY_SECONDS);
}
