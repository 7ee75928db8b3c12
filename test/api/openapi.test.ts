import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { renderOpenapi } from "../../src/api/openapi.ts";
import { isValid, openapi, responseAt, type Schema } from "./described.ts";

interface Route {
  operationId: string;
  summary: string;
  tags: string[];
  responses: Record<string, object>;
}

test("openapi.yaml is up to date and complete", async () => {
  const text = await renderOpenapi();
  expect(text).toBe(readFileSync(new URL("../../openapi.yaml", import.meta.url), "utf8"));

  const { openapi, paths } = parse(text) as { openapi: string; paths: Record<string, Record<string, Route>> };
  expect(openapi).toBe("3.1.0");
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, route]) => ({ path, method, ...route })),
  );
  expect(new Set(routes.map(({ operationId }) => operationId)).size).toBe(routes.length);
  for (const { path, method, summary, tags, responses } of routes) {
    expect([path, typeof summary, tags.length]).toEqual([path, "string", 1]);
    if (path.startsWith("/v1")) expect(Object.keys(responses)).toEqual(expect.arrayContaining(["401", "500", "503"]));
    for (const status of Object.keys(responses)) {
      expect(responseAt(path, method, status)!.response.description).toMatch(/\.$/);
    }
  }
  const references = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
  const { schemas } = (parse(text) as { components: { schemas: Record<string, unknown> } }).components;
  expect(Object.keys(schemas).sort()).toEqual([...new Set(references)].sort());
});

/** Every schema of a component, with its pointer. */
function* schemasOf(pointer: string, schema: unknown): Generator<[string, Schema]> {
  if (typeof schema !== "object" || schema === null) return;
  if (!Array.isArray(schema)) yield [pointer, schema as Schema];
  for (const [keyword, part] of Object.entries(schema)) {
    if (!["examples", "default", "mapping"].includes(keyword)) yield* schemasOf(`${pointer}/${keyword}`, part);
  }
}

const components = Object.entries(openapi.components.schemas);
const all = components.flatMap(([name, schema]) => [...schemasOf(`/components/schemas/${name}`, schema)]);

test("every example is valid under its schema", () => {
  const examples = all.flatMap(([pointer, { examples }]) =>
    Array.isArray(examples) ? examples.map((example: unknown) => ({ pointer, example })) : [],
  );
  expect(examples.length).toBeGreaterThan(5);
  for (const { pointer, example } of examples) expect([pointer, isValid(pointer, example)]).toEqual([pointer, true]);
});

test("a discriminator selects members of every kind, with and without dialects", () => {
  const mapping = (name: string) => {
    const { discriminator } = all.find(([pointer]) => pointer.endsWith(name))![1];
    return (discriminator as { mapping: Record<string, string> }).mapping;
  };
  const named = "#/components/schemas";
  expect(mapping("/OptimizerInput")).toMatchObject({ adam: `${named}/AnyAdamOptimizerInput` });
  expect(mapping("/OptimizerInput")).toMatchObject({ radam: `${named}/RadamOptimizerInput` });
  expect(mapping("/SpecInput/properties/loss")).toMatchObject({ mse: `${named}/MseLossInput` });
  expect(mapping("/LayerInput")).toMatchObject({ linear: `${named}/LinearLayerInput` });
  const unions = all.filter(([, { oneOf }]) => (oneOf as Schema[] | undefined)?.every(({ $ref }) => $ref));
  for (const [pointer, schema] of unions) expect([pointer, "discriminator" in schema]).toEqual([pointer, true]);
});

test("optional fields of requests have no default keyword, but name the default in words", () => {
  const inputs = all.filter(([pointer]) => /^\/components\/schemas\/\w+Input\b/.test(pointer));
  expect(inputs.filter(([, schema]) => "default" in schema)).toEqual([]);
  const lr = all.find(([pointer]) => pointer === "/components/schemas/AdamOptimizerInput/properties/lr")!;
  expect(lr[1].description).toBe("Learning rate. Default: `0.001`.");
});
