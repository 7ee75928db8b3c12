/**
 * What the OpenAPI document still lacks once the schemas of all routes are in it: headers, shared
 * responses, discriminators. And what must be removed: schemas to which nothing refers, examples of
 * another schema, defaults that mislead generators of clients.
 */
import { pascalCase } from "../contract/schema/members.ts";

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

/** A longer default is left to the catalogue. */
const MAX_DEFAULT = 200;

interface Schema {
  $ref?: string;
  description?: string;
  default?: unknown;
  examples?: unknown;
  oneOf?: Schema[];
  anyOf?: Schema[];
  discriminator?: unknown;
  properties?: Record<string, Schema & { const?: unknown; enum?: unknown[] }>;
}

interface Response {
  description: string;
  headers?: Record<string, unknown>;
  content?: Record<string, unknown>;
}

interface Operation {
  parameters?: { in: string; name: string }[];
  requestBody?: unknown;
  responses: Record<string, Response | { $ref: string }>;
}

export interface Document {
  webhooks?: unknown;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; headers?: unknown; responses?: Record<string, Response> };
}

export function finishDocument({ paths, components, ...rest }: Document): Document {
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
  const { schemas } = components;
  for (const operation of operations) addHeaders(operation);
  const responses = shareProblems(operations);
  const requests = reachable(
    operations.map(({ requestBody }) => requestBody ?? null),
    schemas,
  );
  for (const name of requests) addDefaults(schemas[name]);
  for (const [name, schema] of Object.entries(schemas)) if (`${name}Input` in schemas) dropExamples(schema);
  nameDialects(schemas);
  for (const schema of Object.values(schemas)) discriminate(schema, schemas);
  const headers = Object.entries(HEADERS).map(([name, header]) => [name, { ...header, schema: { type: "string" } }]);
  const used = reachable([paths, responses, rest.webhooks ?? null], schemas);
  return {
    ...rest,
    paths,
    components: {
      ...components,
      schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name))),
      headers: Object.fromEntries(headers),
      responses,
    },
  };
}

/** They follow from the operation's parameters and responses, so no route has to list them. */
function addHeaders(operation: Operation): void {
  for (const [status, response] of Object.entries(operation.responses) as [string, Response][]) {
    const headers = headersOf(status, operation).map((name) => [name, { $ref: `#/components/headers/${name}` }]);
    if (headers.length > 0) response.headers = Object.fromEntries(headers);
  }
}

function headersOf(status: string, { parameters = [], responses }: Operation): (keyof typeof HEADERS)[] {
  const replays = parameters.some(({ name }) => name === "idempotency-key");
  if (status === "201") return replays ? ["Location", "Idempotency-Replayed"] : ["Location"];
  if (status === "304" || (status === "200" && "304" in responses)) return ["ETag"];
  if (status === "401") return ["WWW-Authenticate"];
  return status === "429" || status === "503" ? ["Retry-After"] : [];
}

/** Refers to a problem response by the codes that it may have, instead of repeating it. */
function shareProblems(operations: readonly Operation[]): Record<string, Response> {
  const shared: Record<string, Response> = {};
  for (const { responses } of operations) {
    for (const [status, response] of Object.entries(responses) as [string, Response][]) {
      if (!("application/problem+json" in (response.content ?? {}))) continue;
      const codes = [...response.description.matchAll(/`(\w+)`/g)].map(([, code]) => pascalCase(code));
      const name = codes.join("Or");
      shared[name] ??= response;
      responses[status] = { $ref: `#/components/responses/${name}` };
    }
  }
  return Object.fromEntries(Object.entries(shared).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The names of the schemas that something refers to, also by way of others. */
function reachable(from: unknown, schemas: Record<string, Schema>): Set<string> {
  const used = new Set<string>();
  const visit = (value: unknown) => {
    for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(name)) continue;
      used.add(name);
      visit(schemas[name]);
    }
  };
  visit(from);
  return used;
}

/** Every schema within a schema, and itself. */
function* within(schema: Schema): Generator<Schema> {
  if (typeof schema !== "object" || schema === null) return;
  yield schema;
  for (const [keyword, value] of Object.entries(schema)) {
    if (["default", "examples", "const", "enum"].includes(keyword)) continue;
    if (keyword === "properties") for (const property of Object.values(value as object)) yield* within(property);
    else if (typeof value === "object") for (const part of [value].flat()) yield* within(part as Schema);
  }
}

/**
 * Says defaults in words. Where a schema has the keyword, openapi-typescript takes what may be left
 * out of a request for something that must be there.
 */
function addDefaults(whole: Schema): void {
  for (const schema of within(whole)) {
    if (schema.default === undefined) continue;
    const text = JSON.stringify(schema.default);
    const said = text.length > MAX_DEFAULT ? "May be left out." : `Default: \`${text}\`.`;
    schema.description = schema.description === undefined ? said : `${schema.description} ${said}`;
    delete schema.default;
  }
}

/** Of a schema that differs as an input: the examples are such inputs. */
function dropExamples(whole: Schema): void {
  for (const schema of within(whole)) delete schema.examples;
}

/**
 * Gives a name to the dialects of a type, which are a union within the union of types: a
 * discriminator needs names. The property `dialect` distinguishes them; one of them may leave it
 * out.
 */
function nameDialects(schemas: Record<string, Schema>): void {
  for (const schema of Object.values(schemas)) {
    schema.oneOf = schema.oneOf?.map((branch): Schema => {
      if (branch.oneOf === undefined) return branch;
      if (branch.oneOf.length === 1) return branch.oneOf[0];
      const shortest = branch.oneOf.map(nameOf).reduce((a, b) => (b.length < a.length ? b : a));
      const name = `Any${shortest}`;
      schemas[name] = { anyOf: branch.oneOf };
      return { $ref: `#/components/schemas/${name}` };
    });
    if (schema.oneOf === undefined) delete schema.oneOf;
  }
}

/** Names the property that distinguishes the schemas of each union of named schemas. */
function discriminate(whole: Schema, schemas: Record<string, Schema>): void {
  for (const schema of within(whole)) {
    const branches = schema.oneOf;
    if (branches === undefined || branches.some(({ $ref }) => $ref === undefined)) continue;
    const typed = branches.map((branch) => ({ branch, types: typesOf(schemas[nameOf(branch)], schemas) }));
    if (typed.some(({ types }) => types.length === 0)) continue;
    const mapping = typed.flatMap(({ branch, types }) => types.map((type) => [type, branch.$ref]));
    schema.discriminator = { propertyName: "type", mapping: Object.fromEntries(mapping) };
  }
}

/** The values of `type` that a schema, or each of its branches, may have. */
function typesOf(schema: Schema, schemas: Record<string, Schema>): readonly string[] {
  if (schema.anyOf !== undefined) return typesOf(schemas[nameOf(schema.anyOf[0])], schemas);
  const { const: only, enum: several } = schema.properties?.type ?? {};
  return ((only === undefined ? several : [only]) ?? []) as readonly string[];
}

function nameOf({ $ref }: Schema): string {
  return $ref?.split("/").at(-1) ?? "";
}
