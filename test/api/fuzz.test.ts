/*
 * Twenty thousand requests, made from openapi.yaml: as it says, spoiled in one place, and wild
 * ones. Whatever comes, the answer is one that openapi.yaml allows, and never a 5xx; what is
 * accepted is what it describes. A worker trains the jobs that come of it.
 *
 * The seed decides what is asked, but for ids and for who comes first of those that are on the way
 * together. It is drawn from the commit, so that each commit asks something else; FUZZ_SEED names
 * one that is to be asked again. Meanwhile /healthz is polled: what it takes at most is printed.
 */
import { execFileSync } from "node:child_process";
import { Agent, request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startProcess, type WorkerProcess } from "../worker/support.ts";
import { assertDescribed, isValid, openapi, type Answer } from "./described.ts";
import type { Asked } from "./asked.ts";
import { Requests } from "./requests.ts";
import type { SetEnds } from "../../src/set-ends.ts";
import { openSetEnds, startService, type Service } from "./service.ts";

const COUNT = 20_000;
const AT_ONCE = 16;
const SEED = Number(process.env.FUZZ_SEED ?? seedOfCommit());
const POLL_MS = 20;
/** How long a stream is read that does not end. */
const STREAM_MS = 30;
/** A longer job is cancelled: it would hold up the others. */
const MAX_STEPS = 50_000;

/** 1 where there is no repository. */
function seedOfCommit(): number {
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], { stdio: ["ignore", "pipe", "ignore"] }).toString();
    return Number.parseInt(commit.slice(0, 8), 16);
  } catch {
    console.log("there is no git repository here to draw the fuzz's seed from");
    return 1;
  }
}

let service: Service;
let worker: WorkerProcess;
let setEnds: SetEnds;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE + 1 });
beforeAll(async () => {
  // What takes long is done before the service runs, which would stand still meanwhile.
  for (const name of Object.keys(openapi.components.schemas)) isValid(`/components/schemas/${name}`, null);
  service = await startService();
  setEnds = openSetEnds(service);
  worker = await startProcess({
    REDIS_URL: service.redis.url,
    DATA_DIR: service.directory,
    JOBS: "2",
  });
});
afterAll(async () => {
  agent.destroy();
  worker.kill("SIGKILL");
  await worker.exited;
  await setEnds.close();
  await service.stop();
});

async function ask({ method, url, headers, body }: Asked): Promise<Answer> {
  const { port } = service.app.server.address() as AddressInfo;
  const length = body === undefined ? {} : { "content-length": body.length };
  const outgoing = request({ port, method, path: url, headers: { ...headers, ...length }, agent });
  outgoing.end(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on("response", resolve).on("error", reject);
  });
  const isStream = response.headers["content-type"] === "text/event-stream";
  const timer = isStream ? setTimeout(() => outgoing.destroy(), STREAM_MS) : null;
  const chunks: Buffer[] = [];
  response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => undefined);
  await new Promise((resolve) => response.on("close", resolve));
  if (timer !== null) clearTimeout(timer);
  const text = Buffer.concat(chunks).toString();
  const isJson = text !== "" && /json/.test(response.headers["content-type"] ?? "");
  return { status: response.statusCode!, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/**
 * Asks /healthz while answers are awaited, and knows how long the slowest took: client and service
 * share this process.
 */
class Pulse {
  longestMs = 0;

  async during<T>(work: Promise<T>): Promise<T> {
    const state = { done: false };
    const settled = work.finally(() => (state.done = true));
    const poll = async () => {
      while (!state.done) {
        const began = performance.now();
        await ask({ method: "GET", url: "/healthz", headers: {}, body: undefined, operation: null, kind: "wild" });
        this.longestMs = Math.max(this.longestMs, performance.now() - began);
        await Promise.race([settled, sleep(POLL_MS)]);
      }
    };
    await Promise.all([settled, poll()]);
    return await settled;
  }
}

/** @throws Error if this is no answer to that. */
function judge({ method, url, operation, kind, json }: Asked, answer: Answer): void {
  const { status, body } = answer;
  const { errors = [], code } = body as { errors?: { pointer: string }[]; code?: string };
  if (status >= 500) throw new Error(`answered with ${status}: ${JSON.stringify(body)}`);
  // What HTTP wants, before any route is looked for.
  if (code !== "expectation_failed") assertDescribed(method, url, answer);
  const stray = errors.find(({ pointer }) => !/^(\?.*|[a-z-]+|(\/([^~/]|~[01])*)*)$/s.test(pointer));
  if (stray) throw new Error(`points to ${stray.pointer}`);
  // No schema can say whether a job's optimizer is one of torch.optim's, or its models have a
  // metric.
  const ofTheJob = errors.some(({ pointer }) => pointer === "?format" || pointer === "?sort");
  if (kind === "fitting" && [400, 405, 413, 415].includes(status) && !ofTheJob) {
    throw new Error(`refused what fits with ${status}: ${JSON.stringify(body)}`);
  }
  // Of a batch some specs may be refused.
  if (status < 300 && status !== 207 && json !== undefined && operation?.requestBody?.content["application/json"]) {
    const pointer = `/paths/${operation.path.replaceAll("/", "~1")}/post/requestBody/content/application~1json/schema`;
    if (!isValid(pointer, json)) throw new Error(`accepted with ${status} what openapi.yaml does not allow`);
  }
}

test(`no answer to ${COUNT} requests of seed ${SEED} is one that openapi.yaml does not allow`, async () => {
  console.log(`FUZZ_SEED=${SEED}`);
  const requests = new Requests(SEED);
  const pulse = new Pulse();
  const wrong = new Map<string, string>();
  const answered = new Map<string, number>();
  for (let done = 0; done < COUNT && wrong.size < 10; done += AT_ONCE) {
    const asked = Array.from({ length: AT_ONCE }, () => requests.next());
    const answers = await pulse.during(Promise.all(asked.map(ask)));
    for (const [i, one] of asked.entries()) {
      const name = one.operation?.operationId;
      try {
        judge(one, answers[i]);
        if (name !== undefined && answers[i].status < 400) answered.set(name, (answered.get(name) ?? 0) + 1);
        requests.learn(one, answers[i], MAX_STEPS);
      } catch (error) {
        const { message } = error as Error;
        const said = `request ${done + i} of seed ${SEED} ${message}\n  ${requests.shown(one)}`;
        if (!wrong.has(message.slice(0, 80))) wrong.set(message.slice(0, 80), said);
      }
    }
  }
  console.log(`/healthz took ${Math.round(pulse.longestMs)} ms at most`);
  expect([...wrong.values()].join("\n\n")).toBe("");
  // Else the requests would say little: every operation has also done what it is for.
  expect(requests.operations.map(({ operationId }) => operationId).filter((name) => !answered.has(name))).toEqual([]);
  expect((await ask(requests.plain("GET", "/readyz"))).status).toBe(200);
}, 300_000);

test("none of the jobs that these requests made failed with an internal error", async () => {
  const { data } = await service.store.jobs.list("default", { limit: 1000, statuses: ["failed"] });
  const ours = data.filter(({ error }) => !["diverged", "dataset_unavailable"].includes(error!.code));
  expect(await Promise.all(ours.map(({ id }) => service.store.jobs.get("default", id)))).toEqual([]);
  expect(worker.child.exitCode).toBe(null);
});
