// What the log says about requests.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { NoRoom, Unavailable } from "../../src/store/errors.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
const lines: Record<string, unknown>[] = [];
beforeAll(async () => {
  const formatters = { level: (level: string) => ({ level }) };
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const log = pino({ level: "debug", formatters }, { write });
  service = await startService({}, mkdtempSync(join(tmpdir(), "rappel-api-")), log);
});
afterAll(() => service.stop());
beforeEach(() => void lines.splice(0));
afterEach(() => vi.restoreAllMocks());

/** The lines of a level, once the request itself is logged. */
async function logged(...levels: string[]) {
  await expect.poll(() => lines.some(({ msg }) => msg === "request")).toBe(true);
  return lines.filter(({ level }) => levels.includes(level as string));
}

test.each([
  ["/v1/jobs?limit=5", 200, "info"],
  ["/nowhere", 404, "info"],
  ["/healthz", 200, "debug"],
  ["/readyz", 200, "debug"],
])("a request for %s is one line", async (url, status, level) => {
  const { headers } = await service.call("GET", url, { headers: { "x-request-id": "mine" } });
  expect(headers["x-request-id"]).toBe("mine");
  expect(await logged("debug", "info", "warn", "error")).toMatchObject([
    { level, msg: "request", request_id: "mine", method: "GET", url, owner: "default", status, ms: expect.any(Number) },
  ]);
});

test.each([
  ["a fault of ours", new Error("the secret is 42"), 500, "error"],
  ["a Redis that is away", new Unavailable("Redis cannot be reached"), 503, "error"],
  ["a store without room", new NoRoom(5, 4, 6), 503, "warn"],
])("%s is logged with its reason", async (_, error, status, level) => {
  vi.spyOn(service.store.jobs, "list").mockRejectedValue(error);
  const response = await service.call("GET", "/v1/jobs");
  expect(response.status).toBe(status);
  const [line, ...others] = await logged("warn", "error");
  expect(others).toEqual([]);
  expect(line).toMatchObject({ level, request_id: response.body.request_id, msg: response.body.detail });
  expect((line.err as Error | undefined)?.message).toBe(level === "error" ? error.message : undefined);
});

test("a queue that takes no wake-up is logged, and the request succeeds", async () => {
  const { id: dataset } = await service.upload(csv);
  vi.spyOn(service.queue, "add").mockRejectedValue(new Error("no queue"));
  const { id } = await service.create(specFor(dataset));
  for (const action of ["pause", "resume", "cancel"]) {
    expect((await service.call("POST", `/v1/jobs/${id}/${action}`)).status).toBe(202);
  }
  expect((await service.call("DELETE", `/v1/jobs/${id}`)).status).toBe(204);
  expect((await logged("warn", "error")).map(({ level, msg }) => [level, msg])).toEqual([
    ["warn", "no worker was woken yet"],
    ["warn", "no worker was woken yet"],
  ]);
});
