// Guessing keys: only so often from an address.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
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
  for (let i = 0; i < 10_000; i++) guess(`another ${i}`);
  expect(guess("guesser")).toBeNull();
});

test("a minute after the first wrong key an address may try again", () => {
  const attempts = new Attempts();
  const guess = () => attempts.check({ ip: "1.2.3.4" } as FastifyRequest, "guess", () => null);
  const clock = vi.spyOn(performance, "now");
  const at = (ms: number) => {
    clock.mockReturnValue(1000 + ms);
    return guess;
  };
  try {
    for (let i = 0; i < 30; i++) expect(at(i)()).toBeNull();
    expect(at(30)).toThrow(Problem);
    expect(at(59_999)).toThrow(Problem);
    for (let i = 0; i < 30; i++) expect(at(60_000 + i)()).toBeNull();
    expect(at(60_030)).toThrow(Problem);
  } finally {
    clock.mockRestore();
  }
});

test.each([
  ["2001:db8:1:2::1", "2001:db8:1:2:a:b:c:d", true],
  ["2001:db8:1:2::1", "2001:db8:1:3::1", false],
  ["::ffff:1.2.3.4", "::ffff:1.2.3.5", false],
  ["1.2.3.4", "1.2.3.5", false],
])("the guesses of %s and %s are counted together: %s", (one, other, together) => {
  const attempts = new Attempts();
  const guess = (ip: string) => attempts.check({ ip } as FastifyRequest, "guess", () => null);
  for (let i = 0; i < 30; i++) guess(one);
  if (together) expect(() => guess(other)).toThrow(Problem);
  else expect(guess(other)).toBeNull();
});
