/** What is sent to the URL in a spec's `webhook` (src/webhooks), for openapi.yaml. */
export const jobEvent = {
  tags: ["jobs"],
  operationId: "jobEvent",
  summary: "Something happened to a job",
  description:
    "Sent to the `webhook` of a job's spec, at least once. Headers and signature are those of Standard Webhooks; `webhook-id` is `<job id>-<event id>`. Any answer but 2xx is a failure, which is tried again for three days, and then told in the event `webhook_failed`; 410 ends it.",
  security: [],
  parameters: ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => ({
    name,
    in: "header" as const,
    required: true,
    schema: { type: "string" as const },
  })),
  requestBody: {
    required: true,
    content: {
      "application/json": {
        schema: {
          type: "object" as const,
          required: ["type", "timestamp", "data"],
          properties: {
            type: { type: "string" as const, description: "`job.` and the event's type.", examples: ["job.succeeded"] },
            timestamp: { type: "string" as const, format: "date-time", description: "When it happened." },
            data: {
              type: "object" as const,
              required: ["event", "job"],
              properties: {
                event: { $ref: "#/components/schemas/Event" },
                job: { $ref: "#/components/schemas/JobSummary" },
              },
            },
          },
        },
      },
    },
  },
  responses: { "2XX": { description: "Received." }, "410": { description: "Send no more of this job." } },
};
