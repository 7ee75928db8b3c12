/**
 * The columns of datasets, and bytes of the archive, for workers on other hosts. Not part of the
 * API: a worker shows a ticket (src/store/tickets.ts), not a key.
 */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { headerHash } from "../../data/files/column-file.ts";
import { columnsName, DatasetLost } from "../../data/dataset.ts";
import { Problem } from "../../contract/errors.ts";
import type { Dataset } from "../../contract/wire/dataset.ts";
import { ARCHIVE, REQUEST_BYTES } from "../../store/archive/remote.ts";
import { bearerOf } from "../plugins/authentication.ts";
import { notFound } from "../plugins/problems.ts";
import { queryInteger } from "../requests.ts";
import type { Routes, Services } from "../services.ts";

export const files: Routes = async (app, { store, files }) => {
  app.get(
    "/internal/datasets/:sha256",
    {
      config: { public: true },
      schema: { hide: true, params: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }) },
    },
    async (request, reply) => {
      const dataset = await wanted(request, store);
      if (dataset === null || columnsName(dataset) !== request.params.sha256) {
        throw new Problem("unauthorized", "A worker's ticket for this dataset is needed.");
      }
      const file = await files.columns(dataset).catch((error: unknown) => {
        throw error instanceof DatasetLost ? notFound(error.message) : error;
      });
      const version = `"${headerHash(file.start)}"`;
      reply.header("etag", version).type("application/octet-stream");
      const { bytes } = file;
      const from = firstByte(request, version);
      if (from > 0 && from < bytes) {
        reply.code(206).header("content-range", `bytes ${from}-${bytes - 1}/${bytes}`);
        return reply.header("content-length", bytes - from).send(file.from(from));
      }
      return reply.header("content-length", bytes).send(file.from(0));
    },
  );

  app.get(
    "/internal/archive/:segment",
    {
      config: { public: true },
      schema: {
        hide: true,
        params: z.object({ segment: z.string().regex(/^[0-9a-z]{26}\.segment$/) }),
        querystring: z.strictObject({
          offset: queryInteger(z.int().min(0)),
          bytes: queryInteger(z.int().min(1).max(REQUEST_BYTES)),
        }),
      },
    },
    async (request, reply) => {
      const { segment } = request.params;
      const { offset, bytes } = request.query;
      const bearer = bearerOf(request);
      const ticket = bearer === null ? null : await store.tickets.look(bearer);
      if (ticket?.owner !== ARCHIVE || ticket.datasetId !== segment)
        throw new Problem("unauthorized", "A worker's ticket for this segment is needed.");
      if (store.archive === null) throw notFound();
      return reply
        .type("application/octet-stream")
        .send(await store.archive.read(segment, (read) => read(offset, bytes)));
    },
  );
};

/** The dataset that the request has a ticket for. */
async function wanted(request: FastifyRequest, { tickets, datasets }: Services["store"]): Promise<Dataset | null> {
  const bearer = bearerOf(request);
  const ticket = bearer === null ? null : await tickets.look(bearer);
  return ticket === null ? null : await datasets.get(ticket.owner, ticket.datasetId);
}

/**
 * Reads the one kind of range that a worker asks for. Other ranges are ignored, as HTTP allows. So
 * is a range of another version, since its rest would not fit the bytes that the client has.
 */
function firstByte({ headers: { range, "if-range": condition } }: FastifyRequest, version: string): number {
  if (condition !== undefined && condition !== version) return 0;
  return Number(/^bytes=(\d{1,15})-$/.exec(range ?? "")?.[1] ?? 0);
}
