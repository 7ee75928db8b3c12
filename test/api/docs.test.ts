import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { csv, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

test("the page shows what openapi.yaml says", async () => {
  const openapi = parse(readFileSync(new URL("../../openapi.yaml", import.meta.url), "utf8"));
  expect((await service.call("GET", "/docs/json")).body).toEqual(openapi);
  const yaml = await service.call("GET", "/docs/yaml");
  expect(parse(yaml.text ?? yaml.body.toString())).toEqual(openapi);
});

test.each(["/docs", "/docs/"])("%s is a page whose parts all load under its own policy", async (url) => {
  const page = await service.call("GET", url);
  expect(page.headers["content-type"]).toMatch(/^text\/html/);
  expect(page.text).toContain("<title>Rappel</title>");
  // Nothing that the policy forbids: every script and style is a file of its own, of this host.
  expect(page.text).not.toMatch(/<script>|<style|style=|https?:/);
  const parts = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part]) => part);
  expect(parts.length).toBeGreaterThan(4);
  for (const part of parts) {
    const path = new URL(part, `http://host${url}`).pathname;
    const { status, headers } = await service.call("GET", path);
    expect([path, status]).toEqual([path, 200]);
    expect(headers["content-security-policy"].split(/; */).filter(Boolean)).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data:",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ]);
  }
  expect((await service.call("GET", "/docs/static/nothing.js")).body.code).toBe("not_found");
});

test("no answer can be used by a browser as a page, a frame or a script", async () => {
  const { id } = await service.upload(csv);
  for (const path of ["/v1/jobs", `/v1/datasets/${id}/content`, "/healthz", "/nothing"]) {
    const { headers } = await service.call("GET", path);
    expect([path, headers["content-security-policy"]]).toEqual([path, "default-src 'none';frame-ancestors 'none'"]);
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "x-frame-options": "SAMEORIGIN" });
    expect(headers["strict-transport-security"]).toBeUndefined();
  }
});
