import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyInstance } from "fastify";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import { jobEvent } from "../job-event.ts";

const about = `Rappel trains models from declarative specs. Post a dataset, post a job that uses it, poll its progress, fetch the model.

Bodies are JSON up to 2 MiB (datasets excepted). Times are RFC 3339 in UTC. What is absent is null. Whatever goes wrong is a problem document (RFC 9457)
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

/** What answers say in their headers. Required: on every answer that lists it. */
const HEADERS = {
  Location: { required: true, description: "Where the new thing is." },
  ETag: { required: true, description: "Of what was sent: `If-None-Match` asks for it only if it has changed." },
  "Retry-After": { required: true, description: "After how many seconds to try again." },
  "WWW-Authenticate": { required: true, description: "What is wanted: `Bearer`." },
  "Idempotency-Replayed": {
    required: false,
    description: "`true`: the job was created by an earlier request with this key.",
  },
} as const;

interface Operation {
  parameters?: { in: string; name: string }[];
  responses: Record<string, { headers?: Record<string, unknown> }>;
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; headers?: unknown };
}

/** The API's description in OpenAPI 3.1, from the schemas of its routes, and the page under /docs that shows it. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Rappel", version: "1", description: about, license: { name: "MIT", identifier: "MIT" } },
      tags: [
        { name: "datasets", description: "Tables to learn from." },
        { name: "jobs", description: "Trainings: their life, progress and curves." },
        { name: "results", description: "Checkpoints and trained models." },
        { name: "catalogue", description: "What a spec can be made of." },
        { name: "operations", description: "The service as a whole." },
        { name: "health", description: "For orchestrators." },
      ],
      webhooks: { jobEvent: { post: jobEvent } },
      components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
      security: [{ key: [] }, {}],
    },
    transform: jsonSchemaTransform,
    transformObject: (documents) => finished(jsonSchemaTransformObject(documents) as unknown as Document) as object,
  });
  await app.register(swaggerUi, {
    routePrefix: "/docs",
    uiConfig: { defaultModelsExpandDepth: 0, displayRequestDuration: true, persistAuthorization: true },
    theme: { title: "Rappel" },
    staticCSP: PAGE_POLICY,
  });
}

function finished(document: Document): Document {
  for (const operation of Object.values(document.paths).flatMap((methods) => Object.values(methods))) {
    for (const [status, response] of Object.entries(operation.responses)) {
      const headers = headersOf(status, operation).map((name) => [name, { $ref: `#/components/headers/${name}` }]);
      if (headers.length > 0) response.headers = Object.fromEntries(headers);
    }
  }
  const headers = Object.entries(HEADERS).map(([name, header]) => [name, { ...header, schema: { type: "string" } }]);
  const whole = pruned(document);
  return { ...whole, components: { ...whole.components, headers: Object.fromEntries(headers) } };
}

/** They follow from what an operation takes and gives, so that no route need list them. */
function headersOf(status: string, { parameters = [], responses }: Operation): (keyof typeof HEADERS)[] {
  const replays = parameters.some(({ name }) => name === "idempotency-key");
  if (status === "201") return replays ? ["Location", "Idempotency-Replayed"] : ["Location"];
  if (status === "304" || (status === "200" && "304" in responses)) return ["ETag"];
  if (status === "401") return ["WWW-Authenticate"];
  return status === "429" || status === "503" ? ["Retry-After"] : [];
}

/** Every schema is offered as the input and as the output of something; keeps those that are one. */
function pruned(document: Document): Document {
  const { paths, components } = document;
  const used = new Set<string>();
  const visit = (value: unknown) => {
    for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(name)) continue;
      used.add(name);
      visit(components.schemas[name]);
    }
  };
  visit(paths);
  const schemas = Object.fromEntries(Object.entries(components.schemas).filter(([name]) => used.has(name)));
  return { ...document, components: { ...components, schemas } };
}
