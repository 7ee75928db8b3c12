/**
 * The results of workers on other hosts. Not part of the API: a worker shows a ticket
 * (src/store/tickets.ts) for a prediction that it holds, not a key.
 */
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import { PredictionId } from "../../contract/wire/common.ts";
import { Problem } from "../../contract/errors.ts";
import { atMost } from "../../data/table/unpack.ts";
import { bearerOf } from "../plugins/authentication.ts";
import type { Routes } from "../services.ts";

export const results: Routes = async (app, { store, files }) => {
  // The file is streamed to disk as it arrives.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("text/csv", (_request, payload, done) => done(null, payload));

  app.put(
    "/internal/results/:id",
    {
      config: { public: true },
      schema: {
        hide: true,
        params: z.object({ id: PredictionId }),
        querystring: z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
        body: z.custom<IncomingMessage>(),
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const bearer = bearerOf(request);
      const ticket = bearer === null ? null : await store.tickets.look(bearer);
      const limit = ticket?.datasetId === id ? await store.predictions.expected(ticket.owner, id) : null;
      if (limit === null) throw new Problem("unauthorized", "A worker's ticket for this prediction is needed.");
      const sent: AsyncIterable<Buffer> = (request.body as IncomingMessage).iterator({ destroyOnReturn: false });
      await files.results.receive(id, atMost(sent, limit), request.query.sha256);
      return reply.code(204).send();
    },
  );
};
