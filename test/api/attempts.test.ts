// Guessing keys: only so often from an address.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { FastifyRequest } from "fastify";
import { Attempts } from "../../src/api/plugins/attempts.ts";
import { Problem } from "../../src/contract/errors.ts";
import { apiKey } from "../../src/secrets.ts";
import { startService, type Service } from "./service.ts";

/** Of as many characters as a secret should have at least. */
const LONG = "0123456789abcdef";

let service: Service;
beforeAll(async () => {
  const apiKeys = [apiKey("ann", "first"), apiKey("bob", "second"), apiKey("cid", LONG)];
  service = await startService({ apiKeys, adminKey: "admin" });
});
afterAll(() => service.stop());

const ask = (secret: string | null, path = "/v1/jobs") =>
  service.call("GET", path, { headers: secret === null ? {} : { authorization: `Bearer ${secret}` } });

test("after many wrong keys a short key works only if it was right before; a long one always works", async () => {
  expect((await ask("first")).status).toBe(200);
  // A request without a key guesses nothing.
  for (let i = 0; i < 40; i++) expect((await ask(null)).status).toBe(401);
  for (let i = 0; i < 29; i++) expect((await ask(`guess ${i}`.replace(" ", ""))).status).toBe(401);
  expect((await ask("wrong", "/admin/queues")).status).toBe(401);
  const { status, headers, body } = await ask("guess");
  expect([status, body.code, body.detail]).toEqual([
    429,
    "rate_limited",
    "Your address sent 30 wrong keys within a minute. Wait before you try another.",
  ]);
  expect(Number(headers["retry-after"])).toBeGreaterThan(0);
  expect(Number(headers["retry-after"])).toBeLessThanOrEqual(60);
  expect((await ask("first")).status).toBe(200);
  // Right, but how is one to tell it from a lucky guess?
  expect((await ask("second")).status).toBe(429);
  expect((await ask("admin", "/admin/queues")).status).toBe(429);
  expect((await ask("fedcba9876543210")).status).toBe(429);
  expect((await ask(LONG)).status).toBe(200);
  expect((await service.call("GET", "/healthz")).status).toBe(200);
});

test("of ten thousand addresses the one that was quiet for longest is forgotten", () => {
  const attempts = new Attempts();
  const guess = (ip: string) => attempts.check({ ip } as FastifyRequest, "guess", () => null);
  for (let i = 0; i < 29; i++) guess("guesser");
  for (let i = 0; i < 9999; i++) guess(`other ${i}`);
  guess("guesser");
  guess("one more");
  expect(() => guess("guesser")).toThrow(Problem);
});
