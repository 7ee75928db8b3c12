import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let spec: Record<string, unknown>;
beforeAll(async () => {
  service = await startService();
  spec = specFor((await service.upload(csv)).id, {
    training: { epochs: 3, batch_size: 4, clip_grad_norm: { max_norm: 1 }, early_stopping: { patience: 2 } },
    schedule: { type: "step", step_size: 2 },
    metadata: { team: "vision" },
    checkpoint: { keep_best: true },
  });
});
afterAll(() => service.stop());

const json = { "content-type": "application/json" };
const post = (body: string) => service.call("POST", "/v1/jobs?validate_only=true", { body, headers: json });

test("no JSON gives a 5xx", async () => {
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 6, stringUnit: "binary" }), async (body) => {
      expect((await post(body)).status).toBeLessThan(500);
    }),
    { numRuns: 100 },
  );
}, 60_000);

test("no text gives a 5xx", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", minLength: 1 }), async (body) => {
      expect((await post(body)).status).toBeLessThan(500);
    }),
    { numRuns: 50 },
  );
}, 60_000);

/** Every place in a value, as a path. */
function paths(value: unknown, base: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [base];
  return [base, ...Object.entries(value).flatMap(([key, inner]) => paths(inner, [...base, key]))];
}

function replaced(value: unknown, [key, ...rest]: string[], replacement: unknown): unknown {
  if (key === undefined) return replacement;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  const members = copy as Record<string, unknown>;
  members[key] = replaced(members[key], rest, replacement);
  return copy;
}

/** Nasty values of every type JSON has. */
const strange = fc.oneof(
  fc.constantFrom(
    null,
    true,
    0,
    -0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    2 ** 31,
    100_000,
    1_000_000,
    "",
    "full",
    "__proto__",
    "x".repeat(2000),
    [],
    {},
    [[]],
    [null],
  ),
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.string(),
  fc.jsonValue({ maxDepth: 2 }),
);

test("a sound spec with some places replaced gives no 5xx, and faults point into the body", async () => {
  const places = paths(spec);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(places.length - 1), strange), { minLength: 1, maxLength: 3 }),
      async (changes) => {
        const body = changes.reduce<unknown>((value, [place, replacement]) => {
          const path = places[place];
          const parent = path
            .slice(0, -1)
            .reduce<unknown>((at, key) => (at as Record<string, unknown> | null)?.[key], value);
          return typeof parent === "object" && parent !== null ? replaced(value, path, replacement) : value;
        }, spec);
        const response = await post(JSON.stringify(body));
        expect([200, 422]).toContain(response.status);
        for (const { pointer } of response.body.errors ?? []) expect(pointer).toMatch(/^(\/([^~]|~[01])*)*$/);
      },
    ),
    { numRuns: 200 },
  );
}, 120_000);

test("no query gives a 5xx", async () => {
  const names = fc.constantFrom(
    "limit",
    "after",
    "status",
    "names",
    "from_step",
    "max_points",
    "which",
    "validate_only",
    "metadata.team",
    "name",
    "x",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("/v1/jobs", "/v1/datasets", "/v1/jobs/job_01k3w9d0c8v6m2q4r7t5x1y9za/metrics"),
      fc.array(fc.tuple(names, fc.oneof(fc.string(), fc.integer().map(String))), { maxLength: 3 }),
      async (path, pairs) => {
        expect((await service.call("GET", `${path}?${new URLSearchParams(pairs).toString()}`)).status).toBeLessThan(
          500,
        );
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);
