import type { FastifyBaseLogger } from "fastify";
import type { Services } from "./services.ts";

/** For a job that is recorded. If no worker is woken now, the reconciler wakes one. */
export async function wakeWorker({ queue }: Pick<Services, "queue">, log: FastifyBaseLogger): Promise<void> {
  await queue.add().catch((error: unknown) => log.warn({ err: error }, "no worker was woken yet"));
}
