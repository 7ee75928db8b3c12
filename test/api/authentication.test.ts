import { afterAll, beforeAll, expect, test } from "vitest";
import { apiKey } from "../../src/secrets.ts";
import { csv, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  const apiKeys = [apiKey("ann", "first"), apiKey("ann", "second"), apiKey("bob", "third")];
  service = await startService({ apiKeys });
});
afterAll(() => service.stop());

const ann = { authorization: "Bearer first" };
const bob = { authorization: "Bearer third" };

test.each([
  undefined,
  "Bearer",
  "Bearer ",
  "Bearer wrong",
  "Bearer first second",
  "Basic first",
  "first",
  "Bearer firstx",
])("Authorization: %s is refused", async (authorization) => {
  const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
  for (const [method, path] of [
    ["GET", "/v1/jobs"],
    ["POST", "/v1/jobs"],
    ["POST", "/v1/datasets"],
    ["GET", "/nothing"],
  ] as const) {
    const response = await service.call(method, path, { headers });
    expect([path, response.status, response.body.code]).toEqual([path, 401, "unauthorized"]);
    expect(response.headers["www-authenticate"]).toBe("Bearer");
  }
});

test("health needs no key", async () => {
  for (const path of ["/healthz", "/readyz"]) expect((await service.call("GET", path)).status).toBe(200);
});

test("the scheme is case-insensitive, and an owner may have several keys", async () => {
  const { id } = await service.upload(csv, { authorization: "bearer first" });
  expect(
    (await service.call("GET", `/v1/datasets/${id}`, { headers: { authorization: "BEARER second" } })).status,
  ).toBe(200);
});

test("two owners may have the same file, and one may delete it", async () => {
  const text = csv.replace("x,y", "s,t");
  const [hers, his] = [await service.upload(text, ann), await service.upload(text, bob)];
  expect(hers.id).not.toBe(his.id);
  expect(hers.sha256).toBe(his.sha256);
  expect((await service.call("DELETE", `/v1/datasets/${hers.id}`, { headers: ann })).status).toBe(204);
  expect((await service.call("GET", `/v1/datasets/${his.id}/content`, { headers: bob })).text).toBe(text);
  expect((await service.call("DELETE", `/v1/datasets/${his.id}`, { headers: bob })).status).toBe(204);
  expect(service.onDisk().filter((name) => name.startsWith(his.sha256))).toEqual([]);
});
