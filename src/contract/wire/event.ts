/** What happened to a job. */
import { z } from "zod";
import { EventType } from "../schema/event-type.ts";
import { Count, Run, Time, list } from "./common.ts";

export const Event = z
  .object({
    id: z.string().describe("Ids ascend within a job."),
    run: Run,
    step: Count.nullable(),
    type: EventType,
    message: z.string(),
    data: z.record(z.string(), z.unknown()).nullable().describe("Details, which depend on the type of the event."),
    created_at: Time,
  })
  .meta({ id: "Event", description: "Something that happened to a job. Events are never withdrawn." });
export type Event = z.infer<typeof Event>;

export const EventList = list("Event", Event);
