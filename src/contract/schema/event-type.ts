import { z } from "zod";

export const EventType = z.enum([
  "created",
  "started",
  "resumed",
  "checkpoint_committed",
  "checkpoint_failed",
  "checkpoint_skipped",
  "checkpoint_damaged",
  "evaluated",
  "pooled",
  "metric_undefined",
  "pausing",
  "paused",
  "requeued",
  "lease_lost",
  "arithmetic_changed",
  "diagnosed",
  "diverged",
  "rewound",
  "cancelling",
  "cancelled",
  "succeeded",
  "failed",
  "webhook_failed",
  "events_omitted",
]);
export type EventType = z.infer<typeof EventType>;
