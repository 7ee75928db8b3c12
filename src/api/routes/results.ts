/**
 * The results of workers on other hosts, and the files of sets that such workers predict with. Not
 * part of the API: a worker shows a ticket (src/store/tickets.ts) for a file, not a key.
 */
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { PredictionId, SetFileId, ShardId } from "../../contract/wire/common.ts";
import { Problem } from "../../contract/errors.ts";
import { atMost } from "../../data/table/unpack.ts";
import { bearerOf } from "../plugins/authentication.ts";
import { notFound } from "../plugins/problems.ts";
import { isShard } from "../../store/sets.ts";
import type { Routes } from "../services.ts";

/** A shard of a set has few models, and each is at most as large as a state. */
const shardBytes = (maxStateBytes: number) => 2 ** 26 + 2 * maxStateBytes;

export const results: Routes = async (app, { store, files, config }) => {
  /** How many bytes the result may have; null: none is awaited. */
  const mostBytes = async (owner: string, id: string): Promise<number | null> => {
    if (!isShard(id)) return await store.predictions.expected(owner, id);
    return (await store.sets.isExpected(owner, id)) ? shardBytes(config.maxStateBytes) : null;
  };

  app.get(
    "/internal/results/:id",
    { config: { public: true }, schema: { hide: true, params: z.object({ id: SetFileId }) } },
    async (request, reply) => {
      const { id } = request.params;
      const bearer = bearerOf(request);
      const ticket = bearer === null ? null : await store.tickets.look(bearer);
      if (ticket?.datasetId !== id) throw new Problem("unauthorized", "A worker's ticket for this file is needed.");
      const file = await files.results.open(id);
      if (file === null) throw notFound();
      return reply.type("application/octet-stream").header("content-length", file.bytes).send(file.from(0));
    },
  );

  // The file is streamed to disk as it arrives.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/octet-stream", (_request, payload, done) => done(null, payload));

  app.put(
    "/internal/results/:id",
    {
      config: { public: true },
      schema: {
        hide: true,
        params: z.object({ id: z.union([PredictionId, ShardId]) }),
        querystring: z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
        body: z.custom<IncomingMessage>(),
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const bearer = bearerOf(request);
      const ticket = bearer === null ? null : await store.tickets.look(bearer);
      const limit = ticket?.datasetId === id ? await mostBytes(ticket.owner, id) : null;
      if (limit === null) throw new Problem("unauthorized", "A worker's ticket for this result is needed.");
      const sent: AsyncIterable<Buffer> = (request.body as IncomingMessage).iterator({ destroyOnReturn: false });
      await files.results.receive(id, atMost(sent, limit), request.query.sha256);
      return reply.code(204).send();
    },
  );
};
