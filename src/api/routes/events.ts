import type { Readable } from "node:stream";
import { z } from "zod";
import { JobId } from "../../contract/wire/common.ts";
import { EventList, type Event } from "../../contract/wire/event.ts";
import { isFinal } from "../../contract/wire/job.ts";
import { EVENT_STREAM, eventHeaders, sendEvents } from "../event-stream.ts";
import { Follower } from "../follow.ts";
import { numberCursor, pageQuery } from "../requests.ts";
import { problems } from "../responses.ts";
import type { Routes } from "../services.ts";
import { noSuchJob } from "./jobs.ts";

const description = `With \`Accept: ${EVENT_STREAM}\` the answer is a stream of server-sent events: those there were and those to come, each with its \`id\` and its \`type\` as \`event\`, up to the one that ends the job. With \`include=progress\` there are also events \`progress\` whose data are a Progress. A comment is sent when nothing has happened for 15 seconds.

A client that was cut off sends the last id it saw as \`Last-Event-ID\`, as browsers do by themselves, and gets what it missed. If that was the end the answer is 204, which tells a browser to stay away. Too many streams and long polls at once are refused with 429 (an owner's) or 503 (all), and \`Retry-After\`.`;

export const events: Routes = async (app, { store, news }) => {
  const follower = new Follower(store?.jobs, news);
  const hasEnded = async (owner: string, id: string) =>
    isFinal((await store.jobs.progress(owner, id))?.status ?? "failed");

  app.get(
    "/v1/jobs/:id/events",
    {
      schema: {
        tags: ["jobs"],
        operationId: "listEvents",
        summary: "List what happened to a job, oldest first, or follow it",
        description,
        params: z.object({ id: JobId }),
        querystring: z.strictObject({
          ...pageQuery(numberCursor),
          include: z.literal("progress").optional().describe("Of a stream: also the progress, whenever it changes."),
        }),
        headers: eventHeaders,
        response: {
          200: {
            description: "A page, or the stream.",
            content: {
              "application/json": { schema: EventList },
              [EVENT_STREAM]: { schema: z.custom<Readable>().meta({ type: "string" }) },
            },
          },
          204: z.undefined().describe("There is nothing more to stream."),
          ...problems("not_found"),
        },
      },
    },
    async (request, reply) => {
      const { owner, params, query } = request;
      return await sendEvents<Event>(request, reply, {
        source: store.jobs,
        follower,
        followed: { owner, id: params.id, progress: query.include === "progress" },
        query,
        over: () => hasEnded(owner, params.id),
        missing: noSuchJob,
      });
    },
  );
};
