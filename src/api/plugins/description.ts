import swagger from "@fastify/swagger";
import type { FastifyInstance } from "fastify";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";

const about = `Rappel trains models from declarative specs. Post a dataset, post a job that uses it, poll its progress, fetch the model.

Bodies are JSON up to 2 MiB (datasets excepted). Times are RFC 3339 in UTC. What is absent is null. Whatever goes wrong is a problem document (RFC 9457)
with a stable \`code\`, and carries all faults at once. Every response has an \`x-request-id\`; one you send is kept.

With API keys set, every route but the health checks wants \`Authorization: Bearer <secret>\`, and an owner sees only what is theirs.`;

/** The API's description in OpenAPI 3.1, from the schemas of its routes. */
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
        { name: "health", description: "For orchestrators." },
      ],
      components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
      security: [{ key: [] }, {}],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
}
