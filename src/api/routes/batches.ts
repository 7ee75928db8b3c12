import { z } from "zod";
import type { TablePath } from "../../data/beside.ts";
import { MAX_PAGE_ROWS, type Batch } from "../../data/encode/batch-order.ts";
import { batchesOf } from "../../data/encode/encoding-cache.ts";
import { Problem } from "../../contract/errors.ts";
import { isSet } from "../../contract/resolve/model-set.ts";
import { Batches } from "../../contract/wire/batches.ts";
import { JobId } from "../../contract/wire/common.ts";
import { readTable } from "../datasets.ts";
import { sendLongJson } from "../json.ts";
import { numberCursor, queryInteger } from "../requests.ts";
import { json, problems } from "../responses.ts";
import { notOneModel } from "../served-model.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const batches: Routes = async (app, { store, files }) => {
  app.get(
    "/v1/jobs/:id/batches",
    {
      schema: {
        tags: ["jobs"],
        operationId: "listBatches",
        summary: "Read which rows make the batches of an epoch",
        description:
          "In the order in which the job takes them, whether it waits, runs or has ended: the order follows from the spec and its dataset alone. With `gradient_accumulation_steps` several batches have one step. A fork that goes on at a later step counts the epochs of its parent too.",
        params: z.object({ id: JobId }),
        querystring: z.strictObject({
          epoch: queryInteger(z.int().min(0).default(0)).describe("From 0."),
          limit: queryInteger(z.int().min(1).max(1000).default(100)).describe(
            `How many batches to give at most. A page ends early once it has ${MAX_PAGE_ROWS} rows.`,
          ),
          after: numberCursor.optional().describe("The `next` of the page before."),
        }),
        response: {
          200: json(Batches, "A page of the epoch's batches."),
          ...problems("invalid_parameter", "not_found", "rate_limited", "unavailable"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const source = await store.jobs.trainedOn(owner, params.id);
      if (source === null) throw noSuchJob();
      if (isSet(source.spec)) throw notOneModel();
      const { data, training } = source.spec;
      const { epochs } = training;
      if (query.epoch >= epochs)
        throw new Problem("not_found", `The job has no epoch ${query.epoch}; its last is ${epochs - 1}.`);
      const first = query.after === undefined ? 0 : Number(query.after) + 1;
      const which = { training, inherited: source.inherited, epoch: query.epoch, first, limit: query.limit };
      const read = (table: TablePath) => batchesOf(table, data, which, reply.caller());
      const page = await readTable({ store, files }, owner, source.datasets, read);
      if (page === null) throw new Problem("not_found", "The job's dataset was deleted.");
      const end = first + page.batches.length;
      return sendLongJson(reply, {
        job_id: params.id,
        epoch: query.epoch,
        total: page.total,
        data: page.batches,
        has_more: end < page.total,
        next: end < page.total && page.batches.length > 0 ? String(end - 1) : null,
      } satisfies Omit<Batches, "data"> & { data: Batch[] });
    },
  );
};
