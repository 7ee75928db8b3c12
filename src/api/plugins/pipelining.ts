/**
 * A client may send requests without waiting for the answers (pipelining), a thousand in one
 * packet. Handled all at once they would block the event loop for seconds. So the requests of one
 * connection are handled one after the other, each in its own turn of the loop, and requests of
 * other connections are handled in between.
 */
import type { IncomingMessage } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance } from "fastify";

/** To be added before all other hooks. */
export function handleInOrder(app: FastifyInstance): void {
  const last = new WeakMap<IncomingMessage["socket"], Promise<void>>();
  app.addHook("onRequest", async ({ raw: { socket } }, reply) => {
    const before = last.get(socket);
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    last.set(socket, answered);
    reply.raw.once("close", () => {
      // Whoever asks again after the answer need not wait.
      if (last.get(socket) === answered) last.delete(socket);
      resolve();
    });
    if (before === undefined) return;
    await before;
    await nextTurn();
    // Its answer would never be heard of again: a connection that closes reports only the answer
    // whose turn it is.
    if (socket.destroyed) reply.hijack();
  });
}
