// Who may talk to a service without keys: programs and pages of this machine.
import { request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { apiKey } from "../../src/secrets.ts";
import { startService, type Service } from "./service.ts";

let keyless: Service;
let keyed: Service;
let open: Service;
beforeAll(async () => {
  keyless = await startService({ host: "127.0.0.5" });
  keyed = await startService({ apiKeys: [apiKey("ann", "first")] });
  open = await startService({ host: "0.0.0.0" });
});
afterAll(() => Promise.all([keyless, keyed, open].map((service) => service.stop())));

async function get(service: Service, headers: Record<string, string>, path = "/v1/jobs") {
  const { port } = service.app.server.address() as AddressInfo;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ port, path, headers }).on("response", resolve).on("error", reject).end();
  });
  return { status: response.statusCode, body: (await json(response)) as { code: string; detail: string } };
}

test.each([
  "localhost",
  "localhost:8080",
  "LOCALHOST.",
  "127.0.0.1",
  "127.0.0.1:65535",
  "127.1.2.3",
  "[::1]",
  "[::1]:8080",
  "127.0.0.5:8080",
])("a request for %s is answered", async (host) => {
  expect((await get(keyless, { host })).status).toBe(200);
});

test.each([
  "evil.example",
  "evil.example:8080",
  "localhost.evil.example",
  "127.0.0.1.evil.example",
  "10.0.0.1",
  "[::2]:8080",
  "localhost:x",
  "127.0.0.1@evil.example",
])("a request for %s is refused, whatever it is for", async (host) => {
  for (const path of ["/v1/jobs", "/nowhere", "/healthz"]) {
    const { status, body } = await get(keyless, { host }, path);
    expect([status, body.code]).toEqual([403, "foreign_origin"]);
    expect(body.detail).toContain("RAPPEL_API_KEYS");
  }
});

test.each([
  ["cross-site", 403],
  ["same-site", 200],
  ["same-origin", 200],
  ["none", 200],
])("a browser's request that is %s is answered with %i", async (site, status) => {
  expect((await get(keyless, { host: "localhost", "sec-fetch-site": site })).status).toBe(status);
});

test("keys, or an address that is meant for others, let any host in", async () => {
  const foreign = { host: "rappel.example", "sec-fetch-site": "cross-site" };
  expect((await get(keyed, { ...foreign, authorization: "Bearer first" })).status).toBe(200);
  expect((await get(open, foreign)).status).toBe(200);
});
