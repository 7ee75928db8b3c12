import { z } from "zod";
import { JobId } from "../../contract/wire/common.ts";
import { Progress } from "../../contract/wire/job.ts";
import { isKnown, sendJsonTagged } from "../etag.ts";
import { queryInteger } from "../requests.ts";
import { json, notModified, problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

export const progress: Routes = async (app, { store, news }) => {
  async function read(owner: string, id: string): Promise<Progress> {
    const found = await store.jobs.progress(owner, id);
    if (found === null) throw noSuchJob();
    return found;
  }

  /** The first progress that is not `known`, or the last if there is none in time. */
  async function next(
    owner: string,
    id: string,
    waitMs: number,
    known: (found: Progress) => boolean,
    pointless: () => AbortSignal,
  ) {
    let found = await read(owner, id);
    const until = performance.now() + waitMs;
    if (waitMs === 0 || !known(found)) return found;
    const signal = pointless();
    const watch = news.watch(id, ["event", "progress"]);
    try {
      for (let left = waitMs; left > 0 && !signal.aborted && known(found); left = until - performance.now()) {
        await watch.wait(left, signal);
        found = await read(owner, id);
      }
      return found;
    } finally {
      watch.close();
    }
  }

  app.get(
    "/v1/jobs/:id/progress",
    {
      schema: {
        tags: ["jobs"],
        operationId: "getProgress",
        summary: "Poll a job's progress",
        description:
          "Send the `ETag` of the last answer as `If-None-Match`: while nothing has changed, the answer is an empty 304, at once or with `wait_ms` after that time.",
        params: z.object({ id: JobId }),
        querystring: z.strictObject({
          wait_ms: queryInteger(z.int().min(0).max(30_000).default(0)).describe(
            "How long to wait for a change of what `If-None-Match` names.",
          ),
        }),
        response: {
          200: json(Progress, "How far it has come."),
          304: notModified,
          ...problems("not_found"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      const known = (found: Progress) => isKnown(request, found);
      const found = await next(owner, params.id, query.wait_ms, known, () => reply.pointless());
      return sendJsonTagged(request, reply, found);
    },
  );
};
