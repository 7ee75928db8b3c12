import { afterAll, beforeAll, expect, test } from "vitest";
import { apiKey } from "../../src/secrets.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: string;
beforeAll(async () => {
  service = await startService({
    apiKeys: [apiKey("ann", "a"), apiKey("bob", "b")],
    webhookHosts: ["hooks.internal"],
    webhookSecrets: new Map([["ann", [Buffer.alloc(32)]]]),
  });
  dataset = (await service.upload(csv, ann)).id;
});
afterAll(() => service.stop());

const ann = { authorization: "Bearer a" };
const bob = { authorization: "Bearer b" };

function validate(webhook: unknown, headers = ann, changes = {}) {
  const body = specFor(dataset, { webhook, ...changes });
  return service.call("POST", "/v1/jobs?validate_only=true", { body, headers });
}

test("a webhook gets the final events by default, and there is no webhook by default", async () => {
  const url = "https://platform.example/hook";
  expect((await validate({ url })).body.spec.webhook).toEqual({ url, events: ["succeeded", "failed", "cancelled"] });
  expect((await validate({ url, events: ["started"] })).body.spec.webhook).toEqual({ url, events: ["started"] });
  expect((await validate(undefined)).body.spec.webhook).toBeNull();
  expect((await validate({ url: "http://hooks.internal:8000/x" })).status).toBe(200);
});

test.each([
  [{ url: "http://platform.example/" }, "/webhook/url", "must begin with https://"],
  [{ url: "https://10.0.0.1/" }, "/webhook/url", "must be on the public internet"],
  [{ url: "https://[::ffff:169.254.169.254]/" }, "/webhook/url", "must be on the public internet"],
  [{ url: "https://hooks.internal.example@10.0.0.1/" }, "/webhook/url", "user name"],
  [{ url: "hook" }, "/webhook/url", "must be a URL"],
  [{}, "/webhook/url", "is required"],
  [{ url: "https://platform.example/", events: ["ended"] }, "/webhook/events/0", "must be one of"],
  [{ url: "https://platform.example/", events: [] }, "/webhook/events", "at least 1 item"],
])("%j is refused", async (webhook, pointer, message) => {
  const { status, body } = await validate(webhook);
  expect([status, body.errors]).toMatchObject([422, [{ pointer, message: expect.stringContaining(message) }]]);
});

test("a faulty webhook is reported together with all other faults", async () => {
  const { body } = await validate({ url: "http://x/" }, bob, { optimizer: { type: "adamm" } });
  const pointers = body.errors.map(({ pointer }: { pointer: string }) => pointer).sort();
  expect(pointers).toEqual(["/data/dataset", "/optimizer/type", "/webhook", "/webhook/url"]);
});

test("an owner without a webhook secret is told what is missing", async () => {
  const own = (await service.upload(csv, bob)).id;
  const { body } = await validate({ url: "https://platform.example/" }, bob, {
    data: { dataset: own, target: "label" },
  });
  expect(body.errors).toEqual([
    { pointer: "/webhook", message: "needs a secret to sign with: RAPPEL_WEBHOOK_SECRETS has none of bob" },
  ]);
});
