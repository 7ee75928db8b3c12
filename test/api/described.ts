/** The API as openapi.yaml describes it, and whether an answer is one that it allows. */
import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { parse } from "yaml";

export interface Schema {
  readonly [keyword: string]: unknown;
}

export interface Parameter {
  readonly in: "path" | "query" | "header";
  readonly name: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Schema }> };
  readonly responses: Record<string, Response | { readonly $ref: string }>;
}

interface Response {
  readonly description: string;
  readonly headers?: Record<string, { readonly $ref: string }>;
  readonly content?: Record<string, unknown>;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Parsed if it is JSON. */
  readonly body: unknown;
}

export const openapi = parse(readFileSync(new URL("../../openapi.yaml", import.meta.url), "utf8")) as {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: {
    readonly schemas: Record<string, Schema>;
    readonly responses: Record<string, Response>;
    readonly headers: Record<string, { readonly required: boolean }>;
  };
};

/** Where a response of an operation is described. */
export function responseAt(
  path: string,
  method: string,
  status: number | string,
): { pointer: string; response: Response } | null {
  const own = openapi.paths[path][method].responses[status];
  if (own === undefined) return null;
  if (!("$ref" in own)) return { pointer: pointer("paths", path, method, "responses", String(status)), response: own };
  const name = own.$ref.split("/").at(-1)!;
  return { pointer: pointer("components", "responses", name), response: openapi.components.responses[name] };
}

function pointer(...parts: string[]): string {
  return `/${parts.map((part) => part.replaceAll("/", "~1")).join("/")}`;
}

/**
 * The service of most tests runs in the same process, and loses Redis if its event loop stands
 * still for 1.5 s. So schemas are compiled quickly: each is used for few answers.
 */
const quickly = { code: { optimize: false }, inlineRefs: false };
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true, ...quickly });
ajv.addSchema(openapi, "api");
const validators = new Map<string, ValidateFunction>();

/** @throws Error unless openapi.yaml allows this answer. */
export function assertDescribed(method: string, url: string, { status, headers, body }: Answer): void {
  if (!headers["x-request-id"]) throw new Error(`${method} ${url} has no x-request-id`);
  const path = Object.keys(openapi.paths).find((template) => matches(template, url.split("?")[0]));
  const operation = path && openapi.paths[path][method.toLowerCase()];
  if (!path || !operation) {
    // What no route says about itself: paths and methods that are unknown, and HEAD.
    if (status >= 400 && method !== "HEAD") assertValid("/components/schemas/Problem", body);
    return;
  }
  const found = responseAt(path, method.toLowerCase(), status);
  if (found === null) throw new Error(`${method} ${path} does not describe ${status}: ${JSON.stringify(body)}`);
  const described = found.response;
  for (const name of Object.keys(described.headers ?? {})) {
    const missing = openapi.components.headers[name].required && headers[name.toLowerCase()] === undefined;
    if (missing) throw new Error(`${method} ${path} has no ${name} with its ${status}`);
  }
  if (!described.content) return;
  const type = headers["content-type"]?.split(";")[0] ?? "";
  if (!(type in described.content)) throw new Error(`${method} ${path} does not describe ${type}`);
  if (!type.endsWith("json")) return;
  assertValid(found.pointer + pointer("content", type, "schema"), body);
}

/** Whether a value is what a part of openapi.yaml, named by a pointer, says. */
export function isValid(pointer: string, value: unknown): boolean {
  return validator(pointer)(value);
}

function assertValid(pointer: string, value: unknown): void {
  const validate = validator(pointer);
  if (validate(value)) return;
  throw new Error(`${pointer}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
}

function validator(pointer: string): ValidateFunction {
  const known = validators.get(pointer) ?? ajv.compile({ $ref: `api#${encodeURI(pointer)}` });
  validators.set(pointer, known);
  return known;
}

function matches(template: string, path: string): boolean {
  return new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path);
}
