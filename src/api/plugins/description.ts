import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyInstance } from "fastify";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import { finishDocument, type Document } from "../document.ts";
import { webhooks } from "../webhook-events.ts";

const about = `Rappel trains models from declarative specs. Post a dataset, post a job that uses it, poll its progress, fetch the model.

Bodies are JSON up to 2 MiB (datasets and rows to predict from excepted). Times are RFC 3339 in UTC. What is absent is null. Whatever goes wrong is a problem document (RFC 9457)
with a stable \`code\`, and carries all faults at once. Every response has an \`x-request-id\`; one you send is kept.

With API keys set, every route but the health checks wants \`Authorization: Bearer <secret>\`, and an owner sees only what is theirs. An owner's
requests are counted: \`RateLimit-Policy\` and \`RateLimit\` say how they stand. Whoever is over a limit, of requests, of jobs that wait or of bytes, gets 429 and
\`Retry-After\`.`;

/** What the page may load: its own files. Its styles also come inline, from a script of it. */
const PAGE_POLICY = {
  "default-src": "'none'",
  "script-src": "'self'",
  "style-src": "'self' 'unsafe-inline'",
  "img-src": "'self' data:",
  "connect-src": "'self'",
  "base-uri": "'none'",
  "form-action": "'none'",
  "frame-ancestors": "'none'",
};

/**
 * The API's description in OpenAPI 3.1, from the schemas of its routes, and the page under /docs
 * that shows it.
 */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Rappel", version: "1", description: about, license: { name: "MIT", identifier: "MIT" } },
      servers: [{ url: "/", description: "The service that serves this document." }],
      tags: [
        { name: "datasets", description: "Tables, arrays and texts to learn from." },
        { name: "weights", description: "Weights to begin with." },
        { name: "jobs", description: "Trainings: their life, progress and curves." },
        { name: "results", description: "Checkpoints and trained models." },
        { name: "sets", description: "Jobs that train many models of one spec." },
        { name: "studies", description: "Searches over settings: trials, samplers, pruners." },
        { name: "catalogue", description: "What a spec can be made of." },
        { name: "operations", description: "The service as a whole." },
        { name: "health", description: "For orchestrators." },
      ],
      webhooks,
      components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
      security: [{ key: [] }, {}],
    },
    transform: jsonSchemaTransform,
    transformObject: (documents) =>
      finishDocument(jsonSchemaTransformObject(documents) as unknown as Document) as object,
  });
  await app.register(swaggerUi, {
    routePrefix: "/docs",
    uiConfig: { defaultModelsExpandDepth: 0, displayRequestDuration: true, persistAuthorization: true },
    theme: { title: "Rappel" },
    staticCSP: PAGE_POLICY,
  });
}
