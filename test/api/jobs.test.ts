import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hashSpec } from "../../src/contract/resolve/identity.ts";
import type { Dataset } from "../../src/contract/wire/dataset.ts";
import { acquire, eventTypes } from "../store/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let dataset: Dataset;
beforeAll(async () => {
  service = await startService();
  dataset = await service.upload(csv);
});
afterAll(() => service.stop());

const unknownId = "job_01k3w9d0c8v6m2q4r7t5x1y9za";

describe("create", () => {
  test("a job is stored with every default filled in, and queued", async () => {
    const { status, headers, body } = await service.call("POST", "/v1/jobs", {
      body: specFor(dataset.id, { name: "pets" }),
    });
    expect(status).toBe(201);
    expect(headers.location).toBe(`/v1/jobs/${body.id}`);
    expect(headers["idempotency-replayed"]).toBeUndefined();
    expect(body).toMatchObject({ name: "pets", status: "queued", run: 0, result: null, error: null, started_at: null });
    expect(body.spec.data.features).toEqual(["x", "y", "colour", "price"]);
    expect(body.spec.model.layers).toMatchObject([
      { type: "linear", name: "0", in_features: 6, out_features: 8, bias: true },
      { type: "relu", name: "1" },
      { type: "linear", name: "2", in_features: 8, out_features: 2, bias: true },
    ]);
    expect(body.spec.schedule).toEqual({ type: "constant", interval: "step", warmup_steps: 0 });
    expect(body.spec.checkpoint).toMatchObject({
      every_steps: null,
      every_seconds: 30,
      keep_last: 3,
      keep_best: false,
    });
    expect(body.spec.training).toMatchObject({ log_every_steps: 1, seed: 0, shuffle: true, clip_grad_norm: null });
    expect(body.spec_sha256).toBe(hashSpec(body.spec));
    expect(body.progress).toMatchObject({
      step: 0,
      total_steps: 12,
      total_epochs: 3,
      progress: 0,
      last_checkpoint_step: null,
    });
    expect((await service.call("GET", headers.location)).body).toEqual(body);
    expect(await eventTypes(service.store, body.id)).toEqual(["created"]);
  });

  test("the spec in the answer can be posted again and makes the same job", async () => {
    const first = await service.create(specFor(dataset.id));
    const second = await service.create(first.spec);
    expect(second.spec).toEqual(first.spec);
    expect(second.spec_sha256).toBe(first.spec_sha256);
  });

  test("validate_only describes the job, and stores nothing", async () => {
    const before = (await service.call("GET", "/v1/jobs?limit=100")).body.data.length;
    const { status, body } = await service.call("POST", "/v1/jobs?validate_only=true", { body: specFor(dataset.id) });
    expect(status).toBe(200);
    expect(body).toMatchObject({ valid: true, parameters: 6 * 8 + 8 + 8 * 2 + 2, total_steps: 12 });
    expect(body.memory_bytes).toBeGreaterThan(body.state_bytes);
    const { weights, gradients, optimizer_state: state } = body.memory as Record<string, number>;
    // Four tensors of whole cache lines; two moments of each.
    expect([weights, gradients, state]).toEqual([6 * 64, 6 * 64, 12 * 64]);
    const bytes = Object.values(body.memory as Record<string, number>);
    expect(bytes.reduce((sum, one) => sum + one)).toBe(body.memory_bytes);
    expect(body.state_bytes).toBeGreaterThan(3 * 4 * body.parameters);
    expect((await service.call("GET", "/v1/jobs?limit=100")).body.data.length).toBe(before);

    const faulty = await service.call("POST", "/v1/jobs?validate_only=true", { body: {} });
    expect([faulty.status, faulty.body.code]).toEqual([422, "invalid_spec"]);
    const query = await service.call("POST", "/v1/jobs?validate_only=yes", { body: specFor(dataset.id) });
    expect([query.status, query.body.errors[0].pointer]).toEqual([400, "?validate_only"]);
  });

  test("test rows take as much memory as validation rows", async () => {
    const memory = async (sides: object) => {
      const spec = specFor(dataset.id, { data: { dataset: dataset.id, target: "label", ...sides } });
      return (await service.call("POST", "/v1/jobs?validate_only=true", { body: spec })).body.memory_bytes;
    };
    const validated = await memory({ validation: { tail: 0.5 } });
    expect(validated).toBeGreaterThan(0);
    expect(await memory({ test: { tail: 0.5 } })).toBe(validated);
  });

  test("validate_only ignores the idempotency key", async () => {
    const headers = { "idempotency-key": "validated" };
    const call = (path: string) => service.call("POST", path, { body: specFor(dataset.id), headers });
    expect((await call("/v1/jobs?validate_only=true")).status).toBe(200);
    const created = await call("/v1/jobs");
    expect([created.status, created.headers["idempotency-replayed"]]).toEqual([201, undefined]);
    expect((await call("/v1/jobs?validate_only=true")).body).toMatchObject({ valid: true });
  });

  test("brackets in a string, after a quote that is written in it, are not nested", async () => {
    const name = `"${"[".repeat(80)}\\"{`;
    const { status, body } = await service.call("POST", "/v1/jobs?validate_only=true", {
      body: specFor(dataset.id, { name }),
    });
    expect([status, body.spec.name]).toEqual([200, name]);
  });

  test("every fault is reported at once, those of the shape and those that only the dataset shows", async () => {
    const spec = specFor(dataset.id, {
      data: { dataset: dataset.id, target: "lable", validation: { every: 5 } },
      optimizer: { type: "Adam", lr: 0.1 },
      training: { epochs: 0, batch_sise: 4 },
    });
    const { status, body } = await service.call("POST", "/v1/jobs", { body: spec });
    expect([status, body.code]).toEqual([422, "invalid_spec"]);
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
      "/data/target",
      "/optimizer/type",
      "/training/batch_sise",
      "/training/batch_size",
      "/training/epochs",
    ]);
  });

  test.each([
    ["", "malformed_json", 400],
    ["{", "malformed_json", 400],
    ['{"a": 1,}', "malformed_json", 400],
    ["[]", "invalid_spec", 422],
    ["null", "invalid_spec", 422],
    ['"spec"', "invalid_spec", 422],
    ["[".repeat(100_000), "malformed_json", 400],
    [`${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`, "invalid_spec", 422],
    ['{"__proto__": {"x": 1}}', "invalid_spec", 422],
  ])("the body %.20s is %s", async (body, code, status) => {
    const response = await service.call("POST", "/v1/jobs", { body, headers: { "content-type": "application/json" } });
    expect([response.status, response.body.code]).toEqual([status, code]);
  });

  test("a body over 2 MiB is refused with the limit", async () => {
    const body = JSON.stringify({ name: "x".repeat(5 * 2 ** 20) });
    const response = await service.call("POST", "/v1/jobs", { body, headers: { "content-type": "application/json" } });
    expect([response.status, response.body.code]).toEqual([413, "too_large"]);
    expect(response.body.detail).toContain("2097152 bytes");
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ";"])(
    "the type %s is refused with the right one",
    async (type) => {
      const response = await service.call("POST", "/v1/jobs", { body: "{}", headers: { "content-type": type } });
      expect([response.status, response.body.code]).toEqual([415, "unsupported_media_type"]);
      expect(response.body.detail).toContain("application/json");
    },
  );
});

describe("idempotency", () => {
  test("the same key and body give the same job, even when its dataset is gone", async () => {
    const { id } = await service.upload(`${csv}\n50,1,red,dog,3`);
    const headers = { "idempotency-key": "once" };
    const first = await service.call("POST", "/v1/jobs", { body: specFor(id), headers });
    await service.call("POST", `${first.headers.location}/cancel`);
    expect((await service.call("DELETE", `/v1/datasets/${id}`)).status).toBe(204);

    const second = await service.call("POST", "/v1/jobs", { body: specFor(id), headers });
    expect(second.status).toBe(201);
    expect(second.headers).toMatchObject({ "idempotency-replayed": "true", location: first.headers.location });
    expect(second.body.id).toBe(first.body.id);

    const other = await service.call("POST", "/v1/jobs", { body: specFor(dataset.id, { name: "other" }), headers });
    expect([other.status, other.body.code]).toEqual([422, "idempotency_mismatch"]);
  });

  test("a body is the same however its JSON is spelled, and as an earlier version recorded it", async () => {
    const headers = { "idempotency-key": "spelled", "content-type": "application/json" };
    const spec = specFor(dataset.id, { name: "Zoë", optimizer: { type: "adam", lr: 0.01, eps: 1 } });
    const first = await service.call("POST", "/v1/jobs", { body: JSON.stringify(spec), headers });
    const again = async (text: string) => {
      const { status, body } = await service.call("POST", "/v1/jobs", { body: text, headers });
      return status === 201 ? body.id === first.body.id : body.code;
    };
    const reversed = JSON.stringify(Object.fromEntries(Object.entries(spec).toReversed()), null, 2);
    const spelled = JSON.stringify(spec)
      .replace("0.01", "1.0e-2")
      .replace('"eps":1', '"eps" : 1.0')
      .replace("Zoë", "Zo\\u00eb");
    expect(spelled).toContain("Zo\\u00eb");
    expect([await again(reversed), await again(spelled)]).toEqual([true, true]);
    expect(await again(spelled.replace("1.0e-2", "1.1e-2"))).toBe("idempotency_mismatch");
    expect(await again(spelled.replace('"name"', '"nane"'))).toBe("idempotency_mismatch");

    const redis = service.redis.client();
    const [key] = await redis.keys(`*:idempotency:${createHash("sha256").update("spelled").digest("hex")}`);
    await redis.hset(key, "body_sha256", createHash("sha256").update(reversed).digest("hex"));
    expect([await again(reversed), await again(spelled)]).toEqual([true, "idempotency_mismatch"]);
  });

  test("many simultaneous requests make one job", async () => {
    const headers = { "idempotency-key": "race" };
    const all = await Promise.all(
      Array.from({ length: 8 }, () => service.call("POST", "/v1/jobs", { body: specFor(dataset.id), headers })),
    );
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 201));
    expect(new Set(all.map(({ body }) => body.id)).size).toBe(1);
    expect(all.filter((response) => response.headers["idempotency-replayed"] === undefined)).toHaveLength(1);
  });

  test("a refused body does not use the key up", async () => {
    const headers = { "idempotency-key": "refused" };
    expect((await service.call("POST", "/v1/jobs", { body: {}, headers })).status).toBe(422);
    expect((await service.call("POST", "/v1/jobs", { body: specFor(dataset.id), headers })).status).toBe(201);
  });

  test.each(["", "x".repeat(256)])("the key %.10s is refused", async (key) => {
    const { status, body } = await service.call("POST", "/v1/jobs", {
      body: specFor(dataset.id),
      headers: { "idempotency-key": key },
    });
    expect([status, body.code, body.errors[0].pointer]).toEqual([400, "invalid_parameter", "idempotency-key"]);
  });
});

describe("list", () => {
  const created: string[] = [];
  beforeAll(async () => {
    for (const team of ["vision", "speech", "vision"]) {
      created.unshift((await service.create(specFor(dataset.id, { metadata: { team, suite: "list" } }))).id);
    }
    await service.call("POST", `/v1/jobs/${created[0]}/cancel`);
  });
  const ids = async (query: string) => {
    const { body } = await service.call("GET", `/v1/jobs?metadata.suite=list&${query}`);
    return body.data.map(({ id }: { id: string }) => id);
  };

  test("newest first, filtered by status and metadata", async () => {
    expect(await ids("")).toEqual(created);
    expect(await ids("metadata.team=vision")).toEqual([created[0], created[2]]);
    expect(await ids("status=queued")).toEqual(created.slice(1));
    expect(await ids("status=cancelled,queued")).toEqual(created);
    expect(await ids("status=cancelled&status=queued")).toEqual(created);
    expect(await ids("status=running")).toEqual([]);
    expect(await ids("metadata.team=none")).toEqual([]);
  });

  test("page by page, without specs", async () => {
    const first = (await service.call("GET", "/v1/jobs?metadata.suite=list&limit=2")).body;
    expect(first).toMatchObject({ has_more: true, next: created[1] });
    expect(first.data[0]).not.toHaveProperty("spec");
    expect(await ids(`after=${first.next}`)).toEqual(created.slice(2));
  });

  test.each([
    ["status=done", "?status", /^must be one of "queued"/],
    ["status=", "?status", /^must be one of/],
    [`status=${Array(101).fill("queued").join()}`, "?status", /^must have at most 100 items$/],
    ["stats=queued", "?stats", /did you mean "status"\?$/],
    ["team=vision", "?team", /metadata\.<key>/],
    ["after=ds_01k3w9d0c8v6m2q4r7t5x1y9za", "?after", /^must be a job's id$/],
  ])("the query %s is refused", async (query, pointer, message) => {
    const { status, body } = await service.call("GET", `/v1/jobs?${query}`);
    expect([status, body.code, body.errors[0].pointer]).toEqual([400, "invalid_parameter", pointer]);
    expect(body.errors[0].message).toMatch(message);
  });
});

describe("cancel", () => {
  let id: string;
  beforeEach(async () => {
    id = (await service.create(specFor(dataset.id))).id;
  });
  const cancel = () => service.call("POST", `/v1/jobs/${id}/cancel`);

  test("a waiting job is cancelled at once, and only once", async () => {
    const first = await cancel();
    expect([first.status, first.body.status]).toEqual([202, "cancelled"]);
    expect(first.body.finished_at).not.toBeNull();
    const second = await cancel();
    expect([second.status, second.body]).toEqual([200, first.body]);
    expect(await eventTypes(service.store, id)).toEqual(["created", "cancelled"]);
  });

  test("a running job is asked to stop", async () => {
    await acquire(service.store, id);
    const { status, body } = await cancel();
    expect([status, body.status, body.finished_at]).toEqual([202, "cancelling", null]);
    expect((await cancel()).status).toBe(202);
  });

  test("a job that has ended in another way stays as it is", async () => {
    const lease = await acquire(service.store, id);
    const error = { code: "diverged", message: "The loss became infinite.", suggestion: "Lower lr.", step: 3 } as const;
    const progress = {
      step: 3,
      epoch: 0,
      train_loss: null,
      valid_loss: null,
      metrics: {},
      learning_rate: 1,
      samples_per_second: null,
      eta_seconds: null,
    };
    await lease.finish({ status: "failed", error, progress, events: [] }, []);
    const { status, body } = await cancel();
    expect([status, body.code, body.current_status]).toEqual([409, "wrong_status", "failed"]);
    expect((await service.call("GET", `/v1/jobs/${id}`)).body).toMatchObject({ status: "failed", error });
  });

  test("a content type on a request without a body does no harm", async () => {
    const headers = { "content-type": "application/json" };
    expect((await service.call("POST", `/v1/jobs/${id}/cancel`, { headers })).status).toBe(202);
  });
});

test.each([unknownId, "job_x", "ds_01k3w9d0c8v6m2q4r7t5x1y9za", "x".repeat(500)])(
  "the id %.30s is not found anywhere",
  async (id) => {
    for (const path of [
      "",
      "/progress",
      "/metrics",
      "/events",
      "/checkpoints",
      "/checkpoints/1",
      "/model",
      "/model/description",
    ]) {
      const { status, body } = await service.call("GET", `/v1/jobs/${id}${path}`);
      expect([path, status, body.code]).toEqual([path, 404, "not_found"]);
    }
    expect((await service.call("POST", `/v1/jobs/${id}/cancel`)).status).toBe(404);
  },
);
