/** Datasets by the hash of their bytes, for workers on other hosts. Not part of the API: a worker shows a ticket (src/store/tickets.ts), not a key. */
import { z } from "zod";
import { Problem } from "../../spec/errors.ts";
import { bearerOf } from "../plugins/authentication.ts";
import { notFound } from "../plugins/problems.ts";
import type { Routes } from "../services.ts";

export const files: Routes = async (app, { store, files }) => {
  app.get(
    "/internal/datasets/:sha256",
    {
      config: { public: true },
      schema: { hide: true, params: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }) },
    },
    async (request, reply) => {
      const { sha256 } = request.params;
      const ticket = bearerOf(request);
      if (ticket === null || !(await store.tickets.admits(ticket, sha256))) {
        throw new Problem("unauthorized", "A worker's ticket for this dataset is needed.");
      }
      const original = await files.original(sha256);
      if (original === null) throw notFound("There is no such dataset on this machine.");
      const { bytes } = original;
      const from = firstByte(request.headers.range);
      if (from > 0 && from < bytes) {
        reply.code(206).header("content-range", `bytes ${from}-${bytes - 1}/${bytes}`);
        return reply.header("content-length", bytes - from).send(original.from(from));
      }
      return reply.header("content-length", bytes).send(original.from(0));
    },
  );
};

/** Of the one kind of range that a worker asks for; others are ignored, as a server may. */
function firstByte(range: string | undefined): number {
  return Number(/^bytes=(\d{1,15})-$/.exec(range ?? "")?.[1] ?? 0);
}
