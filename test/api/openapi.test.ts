import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { renderOpenapi } from "../../src/api/openapi.ts";

interface Route {
  operationId: string;
  summary: string;
  tags: string[];
  responses: Record<string, { description: string }>;
}

test("openapi.yaml is up to date, and says all there is to say", async () => {
  const text = await renderOpenapi();
  expect(text).toBe(readFileSync(new URL("../../openapi.yaml", import.meta.url), "utf8"));

  const { openapi, paths } = parse(text) as { openapi: string; paths: Record<string, Record<string, Route>> };
  expect(openapi).toBe("3.1.0");
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.values(methods).map((route) => ({ path, ...route })),
  );
  expect(new Set(routes.map(({ operationId }) => operationId)).size).toBe(routes.length);
  for (const { path, summary, tags, responses } of routes) {
    expect([path, typeof summary, tags.length]).toEqual([path, "string", 1]);
    if (path.startsWith("/v1")) expect(Object.keys(responses)).toEqual(expect.arrayContaining(["401", "500", "503"]));
    for (const { description } of Object.values(responses)) expect(description).toMatch(/\.$/);
  }
  const references = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name);
  const { schemas } = (parse(text) as { components: { schemas: Record<string, unknown> } }).components;
  expect(Object.keys(schemas).sort()).toEqual([...new Set(references)].sort());
});
