/** What is sent to webhooks (src/webhooks), for openapi.yaml. */
function sent(tag: string, what: string, resource: string, description: string) {
  return {
    tags: [tag],
    operationId: `${what}Event`,
    summary: `Something happened to a ${what}`,
    description: `${description} Headers and signature are those of Standard Webhooks; \`webhook-id\` is \`<${what} id>-<event id>\`. Any answer but 2xx is a failure, which is tried again for three days, and then told in the event \`webhook_failed\`; 410 ends it.`,
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
              type: {
                type: "string" as const,
                description: `\`${what}.\` and the event's type.`,
                examples: [`${what}.succeeded`],
              },
              timestamp: { type: "string" as const, format: "date-time", description: "When it happened." },
              data: {
                type: "object" as const,
                required: ["event", what],
                properties: {
                  event: { $ref: `#/components/schemas/${resource === "JobSummary" ? "Event" : "StudyEvent"}` },
                  [what]: { $ref: `#/components/schemas/${resource}` },
                },
              },
            },
          },
        },
      },
    },
    responses: { "2XX": { description: "Received." }, "410": { description: `Send no more of this ${what}.` } },
  };
}

export const webhooks = {
  jobEvent: { post: sent("jobs", "job", "JobSummary", "Sent to the `webhook` of a job's spec, at least once.") },
  studyEvent: { post: sent("studies", "study", "StudySummary", "Sent to the `webhook` of a study, at least once.") },
};
