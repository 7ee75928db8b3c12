import { connect, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { DatasetLost } from "../../src/data/dataset.ts";
import { PoolBusy } from "../../src/data/pool.ts";
import { meters } from "../../src/meters.ts";
import { Damaged, NoRoom, OverLimit, Unavailable } from "../../src/store/errors.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());
afterEach(() => vi.restoreAllMocks());

/** Sends bytes as they are and gives the answer: its status, headers and problem. */
async function send(text: string) {
  const { port } = service.app.server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  socket.write(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    if (Buffer.concat(chunks).includes("}")) break;
  }
  const [head, body] = Buffer.concat(chunks).toString().split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), problem: JSON.parse(body) };
}

test.each([
  [
    "an overflow of headers",
    `GET /healthz HTTP/1.1\r\nhost: localhost\r\nlong: ${"x".repeat(20_000)}\r\n\r\n`,
    431,
    "headers_too_large",
  ],
  ["what is not HTTP", "GET / NOTHTTP\r\n\r\n", 400, "invalid_parameter"],
  ["an unknown method", "BREW /v1/jobs HTTP/1.1\r\nhost: localhost\r\n\r\n", 400, "invalid_parameter"],
  [
    "an unknown expectation",
    "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\nexpect: tea\r\n\r\n",
    417,
    "expectation_failed",
  ],
])("%s is a problem, though there is no request yet", async (_what, text, status, code) => {
  const answer = await send(text);
  expect([answer.status, answer.problem.status, answer.problem.code]).toEqual([status, status, code]);
  expect(answer.head).toContain("content-type: application/problem+json");
  expect(answer.head).toContain(`x-request-id: ${answer.problem.request_id}`);
});

test.each(["/v1/jobs/%E0", "/%", "/v1/datasets/%zz/content"])("the URL %s is a problem", async (url) => {
  const answer = await send(`GET ${url} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  expect([answer.status, answer.problem.code]).toEqual([400, "invalid_parameter"]);
  expect(answer.head).toContain(`x-request-id: ${answer.problem.request_id}`);
});

test.each(["/", "/v1", "/v1/job", "/v1/jobs/", "/v2/jobs", "/V1/jobs", "/doc", "//v1/jobs"])(
  "the path %s is not found",
  async (path) => {
    for (const method of ["GET", "POST", "DELETE"] as const) {
      const { status, body } = await service.call(method, path);
      expect([status, body.code]).toEqual([404, "not_found"]);
    }
  },
);

test.each([
  ["DELETE", "/v1/jobs", "GET, HEAD, POST"],
  ["PUT", "/v1/jobs/job_01k3w9d0c8v6m2q4r7t5x1y9za", "DELETE, GET, HEAD"],
  ["GET", "/v1/jobs/x/cancel", "POST"],
  ["POST", "/v1/jobs/x/progress?a=b", "GET, HEAD"],
  ["POST", "/healthz", "GET, HEAD"],
] as const)("%s %s is told the methods there are", async (method, path, allow) => {
  const body = method === "GET" ? undefined : { any: "thing" };
  const response = await service.call(method, path, { body });
  expect([response.status, response.body.code, response.headers.allow]).toEqual([405, "method_not_allowed", allow]);
});

test("a well-formed request id is kept, others are replaced", async () => {
  const idFor = async (given: string) =>
    (await service.call("GET", "/nowhere", { headers: { "x-request-id": given } })).body.request_id;
  expect(await idFor("trace-1.a:b/c")).toBe("trace-1.a:b/c");
  expect(await idFor("two words")).toMatch(/^req_[0-9a-z]{26}$/);
  expect(await idFor("x".repeat(128))).toBe("x".repeat(128));
  expect(await idFor("x".repeat(129))).toMatch(/^req_/);
  const { headers } = await service.call("GET", "/healthz", { headers: { "x-request-id": "kept" } });
  expect(headers["x-request-id"]).toBe("kept");
});

test("details of internal errors are not shown to clients", async () => {
  vi.spyOn(service.store.jobs, "list").mockRejectedValue(new Error("the secret is 42"));
  const { status, body, text } = await service.call("GET", "/v1/jobs");
  expect([status, body.code]).toEqual([500, "internal"]);
  expect(body.detail).toContain(body.request_id);
  expect(text).not.toContain("secret");
});

test.each([
  ["/v1/jobs", "a spec"],
  ["/v1/schedules/preview", "a schedule to preview,"],
])("an empty body for %s is called empty, with a Content-Type and without", async (path, what) => {
  const detail = `The body is empty; it must be ${what} in JSON.`;
  for (const sent of [{ body: "", headers: { "content-type": "application/json" } }, {}]) {
    const { status, body } = await service.call("POST", path, sent);
    expect([status, body.code, body.detail]).toEqual([400, "malformed_json", detail]);
  }
});

test("a job whose wake-up fails is created nevertheless", async () => {
  const { id } = await service.upload(csv);
  vi.spyOn(service.queue, "add").mockRejectedValue(new Error("no queue"));
  expect((await service.call("POST", "/v1/jobs", { body: specFor(id) })).status).toBe(201);
});

const full = Object.assign(new Error("write failed"), { code: "ENOSPC" });

test.each([
  [new Unavailable("no answer"), 503, "2", "The store cannot be reached just now."],
  [new Unavailable("OOM", { full: true }), 503, "30", /^The store is full\. Try again when jobs have ended/],
  [
    new NoRoom(6, 4, 6),
    503,
    "30",
    /^The store is full: this may need 6 bytes in the store, and 4 are free\. Try again/,
  ],
  [new NoRoom(7, 4, 6), 413, undefined, /^This may need 7 bytes in the store, which has 6 in all\. A smaller model/],
  [
    new OverLimit("waiting", 5, 5, 1),
    429,
    "10",
    "You may have 5 jobs waiting; you have 5, and this would be 1 more. Post it again when one has started.",
  ],
  [
    new OverLimit("dataset_bytes", 5, 1, 5),
    429,
    "60",
    /^You may have 5 bytes of datasets; you have 1, .* 5 more\. Delete/,
  ],
  [
    new OverLimit("dataset_bytes", 5, 1, 6),
    413,
    undefined,
    "This may take 6 bytes of datasets, and an owner may have 5.",
  ],
  [
    new OverLimit("checkpoint_bytes", 5, 1, 5),
    429,
    "60",
    /^You may have 5 bytes in the store; .* Post it again when a job/,
  ],
  [
    new OverLimit("archived_bytes", 5, 1, 5),
    429,
    "60",
    "You may have 5 bytes of jobs in the archive; you have 1, and this would be 5 more. Delete ended jobs that you no longer need.",
  ],
  [new PoolBusy("own", 8), 429, "2", "8 of your tables, specs and schedules wait to be looked at, the most."],
  [new PoolBusy("all", 8), 503, "2", "8 tables, specs and schedules wait to be looked at here, the most."],
  [new DatasetLost("It is gone."), 503, "30", "It is gone. Upload the same bytes again: that repairs it."],
  [full, 503, "30", "The disk that datasets are kept on is full."],
  [new Damaged("checkpoint"), 500, undefined, /damaged: .* Other checkpoints of the job may be whole\.$/],
  [new Damaged("model"), 500, undefined, /damaged: .* Post the job again: it gives the same model\.$/],
] as [Error, number, string | undefined, string | RegExp][])(
  "what goes wrong is told with its remedy, and when to try again: %s",
  async (error, status, retryAfter, detail) => {
    const { id } = await service.upload(csv);
    vi.spyOn(service.store.jobs, "create").mockRejectedValue(error);
    const response = await service.call("POST", "/v1/jobs", { body: specFor(id) });
    expect([response.status, response.headers["retry-after"]]).toEqual([status, retryAfter]);
    if (typeof detail === "string") expect(response.body.detail).toBe(detail);
    else expect(response.body.detail).toMatch(detail);
  },
);

const arrays = (count: number) => `{"name":[${"[],".repeat(count - 3)}[]]}`;
const members = (count: number) => `{"name":{${Array.from({ length: count - 1 }, (_, i) => `"${i}":1`).join(",")}}}`;

test.each([
  ["objects and arrays", arrays, 300_000, "must have at most 300000 objects and arrays, not 300001"],
  ["members of objects", members, 30_000, "must have at most 30000 members of objects, not 30001"],
])("the number of %s in a body is bounded", async (_, make, most, message) => {
  const headers = { "content-type": "application/json" };
  const first = async (size: number) => {
    const { status, body } = await service.call("POST", "/v1/jobs", { body: make(size), headers });
    return [status, body.errors[0]] as [number, { pointer: string; message: string }];
  };
  expect(await first(most + 1)).toEqual([422, { pointer: "", message }]);
  // Otherwise it is read, and what is wrong is in it.
  const [status, fault] = await first(most);
  expect(status).toBe(422);
  expect(fault.message).not.toMatch(/objects and arrays|members of objects/);
});

test("after a body that was refused half-way the next request on the connection is answered", async () => {
  const { port } = service.app.server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  socket.write(
    "POST /v1/datasets HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\n\r\n",
  );
  // Three times as much as a dataset may have here.
  for (let i = 0; i < 48; i++) socket.write(`10000\r\n${"x".repeat(65_536)}\r\n`);
  socket.write("0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  let answers = "";
  for await (const chunk of socket) answers += String(chunk);
  expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 413", "HTTP/1.1 200"]);
});

test("while Redis is away everything is unavailable, and works again afterwards", async () => {
  const { id } = await service.upload(csv);
  service.redis.kill();
  const id26 = "job_01k3w9d0c8v6m2q4r7t5x1y9za";
  await expect.poll(async () => (await service.call("GET", "/v1/jobs")).status).toBe(503);
  for (const [method, path] of [
    ["GET", "/v1/jobs"],
    ["GET", `/v1/jobs/${id26}`],
    ["GET", `/v1/jobs/${id26}/progress`],
    ["GET", `/v1/jobs/${id26}/metrics`],
    ["GET", `/v1/jobs/${id26}/events`],
    ["GET", `/v1/jobs/${id26}/model`],
    ["POST", `/v1/jobs/${id26}/cancel`],
    ["GET", "/v1/datasets"],
  ] as const) {
    const { status, body, headers } = await service.call(method, path);
    expect([path, status, body.code]).toEqual([path, 503, "unavailable"]);
    expect(Number(headers["retry-after"])).toBeGreaterThan(0);
  }
  const post = await service.call("POST", "/v1/jobs", { body: specFor(id) });
  expect([post.status, post.body.code]).toEqual([503, "unavailable"]);
  const ready = await service.call("GET", "/readyz");
  expect([ready.status, ready.body.status]).toEqual([503, "unavailable"]);
  expect(ready.body.checks.redis).not.toBe("ok");
  expect(ready.headers["retry-after"]).toBe("1");
  expect((await service.call("GET", "/healthz")).status).toBe(200);

  await service.redis.restart();
  await expect.poll(async () => (await service.call("GET", "/readyz")).status, { timeout: 10_000 }).toBe(200);
});

test.each(["keep-alive", "close"])(
  "a client that is still sending too large a body gets the answer before it is cut off (%s)",
  async (connection) => {
    const { port } = service.app.server.address() as AddressInfo;
    const socket = connect(port, "127.0.0.1");
    const errors: Error[] = [];
    let answer = "";
    socket.on("error", (error) => errors.push(error)).on("data", (chunk) => (answer += chunk.toString()));
    const chunk = Buffer.alloc(2 ** 20, " ");
    socket.write(
      `POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${20 * 2 ** 20}\r\nconnection: ${connection}\r\n\r\n`,
    );
    for (let i = 0; i < 20 && errors.length === 0; i++) {
      await new Promise((resolve) => socket.write(chunk, resolve));
    }
    await expect.poll(() => answer).toMatch(/^HTTP\/1.1 413 /);
    expect(errors).toEqual([]);
    if (connection === "close") await expect.poll(() => socket.readableEnded).toBe(true);
    socket.destroy();
  },
);

test("while the service shuts down, running requests are finished and new ones refused", async () => {
  const other = await startService();
  const { port } = other.app.server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  let answers = "";
  socket.on("data", (chunk) => (answers += chunk.toString()));
  socket.write(
    "POST /v1/datasets HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: 8\r\n\r\na,b\n",
  );
  await expect.poll(() => other.onDisk()).toHaveLength(1);
  const stopped = other.stop();
  await sleep(50);
  socket.write("1,2\nGET /v1/jobs HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await stopped;
  expect(answers).toMatch(/^HTTP\/1.1 201 /);
  expect(answers).toMatch(/HTTP\/1.1 503 [^]*retry-after: 1[^]*"code":"unavailable"/);
});

test("a long poll that a shutdown ends tells its client to connect elsewhere", async () => {
  const other = await startService();
  const { id: dataset } = await other.upload(csv);
  const { id } = await other.create(specFor(dataset));
  const path = `/v1/jobs/${id}/progress`;
  const { etag } = (await other.call("GET", path)).headers;
  const { port } = other.app.server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  socket.write(`GET ${path}?wait_ms=30000 HTTP/1.1\r\nhost: localhost\r\nif-none-match: ${etag}\r\n\r\n`);
  let answer = "";
  const answered = (async () => {
    for await (const chunk of socket) answer += String(chunk);
  })();
  const { longLived } = meters;
  await expect.poll(async () => (await longLived.get()).values[0].value).toBe(1);
  await other.stop();
  await answered;
  expect(answer.toLowerCase()).toMatch(/^http\/1\.1 304 [^]*\r\nconnection: close\r\n/);
});

test("while Redis hangs everything is unavailable, and works again afterwards", async () => {
  service.redis.kill("SIGSTOP");
  onTestFinished(() => service.redis.kill("SIGCONT"));
  const began = performance.now();
  const answers = await Promise.all(["/v1/jobs", "/v1/datasets", "/readyz"].map((path) => service.call("GET", path)));
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
  // What is promised is two seconds; a busy machine adds to them.
  expect(performance.now() - began).toBeLessThan(5000);
  service.redis.kill("SIGCONT");
  await expect.poll(async () => (await service.call("GET", "/v1/jobs")).status, { timeout: 10_000 }).toBe(200);
});
