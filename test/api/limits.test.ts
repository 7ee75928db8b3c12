import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { apiKey } from "../../src/secrets.ts";
import type { OwnerLimits } from "../../src/store/store.ts";
import { keys } from "../../src/store/keys.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService({
    apiKeys: [apiKey("ann", "a"), apiKey("bob", "b"), apiKey("eve", "e")],
    requestsPerMinute: 25,
  });
});
afterAll(() => service.stop());
beforeEach(() => limit({}));

const ann = { authorization: "Bearer a" };
const bob = { authorization: "Bearer b" };
const eve = { authorization: "Bearer e" };

function limit(limits: Partial<OwnerLimits>): Promise<void> {
  const none = { waiting: null, running: null, dataset_bytes: null, checkpoint_bytes: null, archived_bytes: null };
  return service.store.limitOwners({ ...none, ...limits });
}

function post(spec: object, headers = ann) {
  return service.call("POST", "/v1/jobs", { body: spec, headers });
}

test("an owner who has as many jobs waiting as one may have is asked to wait", async () => {
  await limit({ waiting: 1 });
  const spec = specFor((await service.upload(csv, ann)).id);
  const { id } = await service.create(spec, ann);
  const { status, headers, body } = await post(spec);
  expect([status, body.code, headers["retry-after"]]).toEqual([429, "rate_limited", "10"]);
  expect(body.detail).toBe(
    "You may have 1 jobs waiting; you have 1, and this would be 1 more. Post it again when one has started.",
  );
  expect((await post(specFor((await service.upload(csv, bob)).id), bob)).status).toBe(201);
  await service.call("POST", `/v1/jobs/${id}/cancel`, { headers: ann });
  expect((await post(spec)).status).toBe(201);
});

test("an owner at the limit of the store is asked to wait; a job that can never fit is too large", async () => {
  const spec = specFor((await service.upload(csv, ann)).id);
  const before = Number(await redisUsage("ann"));
  expect((await post(spec)).status).toBe(201);
  const used = Number(await redisUsage("ann"));
  const need = used - before;
  await limit({ checkpoint_bytes: used + need });
  expect((await post(spec)).status).toBe(201);
  const refused = await post(spec);
  expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "60"]);
  expect(refused.body.detail).toMatch(/^You may have \d+ bytes in the store; you have \d+/);
  await limit({ checkpoint_bytes: need - 1 });
  const never = await post(spec);
  expect([never.status, never.body.code]).toEqual([413, "too_large"]);
});

test("a study is refused if one of its trials can never fit", async () => {
  const spec = specFor((await service.upload(csv, bob)).id);
  const width = "/model/layers/0/out_features";
  const search = (...choice: number[]) =>
    service.call("POST", "/v1/studies", { body: { spec, space: { [width]: { choice } }, trials: 2 }, headers: bob });
  const used = Number(await redisUsage("bob"));
  await limit({ checkpoint_bytes: used + 3 * 2 ** 20 });
  expect((await search(4, 8)).status).toBe(201);
  const never = await search(4, 50_000);
  expect([never.status, never.body.code]).toEqual([413, "too_large"]);
});

test("a study has room for the values of all its trials", async () => {
  const spec = specFor((await service.upload(csv, bob)).id);
  const layers = (type: string) => [...Array.from({ length: 100 }, () => ({ type })), { type: "linear" }];
  const space = { "/model/layers": { choice: [layers("tanh"), layers("relu")] } };
  const body = { spec, space, trials: 100, parallel: 1 };
  const { status, body: study } = await service.call("POST", "/v1/studies", { body, headers: bob });
  expect(status).toBe(201);
  const reserved = await service.redis.client().hget(keys.study("bob", study.id), "reserved");
  expect(Number(reserved)).toBeGreaterThan(100 * JSON.stringify(layers("tanh")).length);
});

async function redisUsage(owner: string): Promise<string | null> {
  return await service.redis.client().hget(`{rappel}:owner:${owner}:usage`, "checkpoint_bytes");
}

test("an upload beyond the owner's bytes is refused and leaves no file; known bytes are welcome", async () => {
  await limit({ dataset_bytes: csv.length + 10 });
  const headers = { ...eve, "content-type": "text/csv" };
  const { id } = await service.upload(csv, eve);
  const files = service.onDisk();
  const other = csv.replace("x,y", "u,v");
  const refused = await service.call("POST", "/v1/datasets", { body: other, headers });
  expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
  expect(service.onDisk()).toEqual(files);
  expect((await service.upload(csv, eve)).id).toBe(id);

  const inline = {
    inline: {
      columns: ["x", "label"],
      rows: [
        [1, "a"],
        [2, "b"],
        [3, "a"],
      ],
    },
    target: "label",
  };
  const body = specFor(id, { data: inline, training: { epochs: 1, batch_size: 1 } });
  expect((await post(body, eve)).status).toBe(429);
  expect(service.onDisk()).toEqual(files);

  const large = await service.call("POST", "/v1/datasets", {
    body: `${csv}\n${csv.split("\n").slice(1).join("\n")}`,
    headers,
  });
  expect([large.status, large.body.code]).toEqual([413, "too_large"]);
});

test("requests are counted for each owner; beyond the limit the answer says when to try again", async () => {
  const get = (headers: Record<string, string>, path = "/v1/jobs") => service.call("GET", path, { headers });
  const before = await get(bob);
  expect(before.headers["ratelimit-policy"]).toBe('"owner";q=25;w=60');
  const [, left, seconds] = /^"owner";r=(\d+);t=(\d+)$/.exec(before.headers.ratelimit)!;
  expect(Number(seconds)).toBeLessThanOrEqual(60);
  for (let i = Number(left) - 1; i >= 0; i--) {
    expect((await get(bob)).headers.ratelimit).toMatch(new RegExp(`^"owner";r=${i};`));
  }
  const { status, headers, body } = await get(bob);
  expect([status, body.code, body.title]).toEqual([429, "rate_limited", "Too many requests"]);
  expect(headers["content-type"]).toBe("application/problem+json; charset=utf-8");
  expect(headers.ratelimit).toMatch(/^"owner";r=0;t=\d+$/);
  expect(Number(headers["retry-after"])).toBeGreaterThan(0);
  expect(Number(headers["retry-after"])).toBeLessThanOrEqual(60);

  expect((await get(eve)).status).toBe(200);
  for (let i = 0; i < 30; i++) expect((await get({}, "/readyz")).status).toBe(200);
  const unknown = await get({ authorization: "Bearer x" });
  expect([unknown.status, unknown.headers.ratelimit]).toEqual([401, undefined]);
});
