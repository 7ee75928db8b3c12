import { apiKey } from "../../src/secrets.ts";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService({ apiKeys: [apiKey("ann", "hers")], adminKey: "admin:secret" });
});
afterAll(() => service.stop());

const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

test.each([
  ["no key", {}],
  ["an owner's key", { authorization: "Bearer hers" }],
  ["a wrong password", basic("admin:wrong")],
  ["a part of it", basic("secret")],
])("with %s the dashboard stays closed", async (_what, headers) => {
  for (const path of ["/admin/queues", "/admin/queues/api/queues", "/admin/queues/static/css/main.css"]) {
    const response = await service.call("GET", path, { headers });
    expect([path, response.status, response.body.code]).toEqual([path, 401, "unauthorized"]);
    expect(response.headers["www-authenticate"]).toContain("Basic");
  }
});

test("with the admin key it shows the queue, and changes nothing", async () => {
  const headers = { authorization: "Bearer hers" };
  const { id } = await service.upload(csv, headers);
  await service.create(specFor(id), headers);
  for (const admin of [basic("me:admin:secret"), { authorization: "Bearer admin:secret" }]) {
    const page = await service.call("GET", "/admin/queues", { headers: admin });
    expect([page.status, page.headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.headers["content-security-policy"].split("; ")).toEqual([
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data:",
      "font-src 'self' data:",
      "connect-src 'self'",
      "base-uri 'self'",
      "frame-ancestors 'none'",
    ]);
    const { body } = await service.call("GET", "/admin/queues/api/queues?activeQueue=deliveries&status=waiting", {
      headers: admin,
    });
    expect(body.queues[0]).toMatchObject({ name: "deliveries", readOnlyMode: true });
    expect(body.queues[0].jobs).toMatchObject([{ name: "wake-up", data: {} }]);
  }
  // The board's own answers are no problem documents.
  const { port } = service.app.server.address() as AddressInfo;
  const clean = `http://127.0.0.1:${port}/admin/queues/api/queues/deliveries/1/clean`;
  const refused = await fetch(clean, { method: "PUT", headers: basic("x:admin:secret") });
  expect(await refused.text()).toContain("READ_ONLY");
  expect(await service.queue.bull.getWaitingCount()).toBe(1);
  // And it opens nothing else.
  expect((await service.call("GET", "/v1/jobs", { headers: { authorization: "Bearer admin:secret" } })).status).toBe(
    401,
  );
});
