/**
 * Sends events of jobs and studies to the URLs in their specs: at least once, in no promised order,
 * signed as Standard Webhooks says.
 *
 * An event is recorded together with its entry in the outbox (src/store/outbox.ts). From there it
 * becomes a message in a BullMQ queue. The body is fixed then, so that every attempt sends the
 * same. BullMQ keeps the message over restarts and repeats it by the schedule. The message is named
 * after the job or the study and the event, `<job id>-<event id>`. BullMQ accepts a name only once,
 * and a receiver that gets the message twice recognises it by this name (`webhook-id`).
 *
 * Every answer except 2xx is a failure, also a redirect. If a message is given up, the job or the
 * study gets an event that says so. After a 410 nothing more is sent for it.
 *
 * A slow receiver delays only the messages of its own owner. Owners take turns, which are
 * priorities for BullMQ, so that nobody waits behind the thousand messages of another owner. And
 * one owner has a limited share of what is sent at once (slots.ts).
 */
import { DelayedError, Queue, UnrecoverableError, WaitingError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { meters } from "../meters.ts";
import { Retry } from "../retries.ts";
import { hashTag } from "../store/keys.ts";
import { available } from "../store/database.ts";
import type { Notice } from "../store/outbox.ts";
import type { Store } from "../store/store.ts";
import { post, type Resolve } from "./post.ts";
import { signature } from "./signature.ts";
import { SLOTS, Slots } from "./slots.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * How long to wait after each failure: the schedule of the Standard Webhooks specification, a
 * little over three days.
 */
const SCHEDULE_MS = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];
/**
 * The largest random addition to a wait, so that messages that failed together do not come back
 * together.
 */
const JITTER = 0.1;
const MAX_ASKED_MS = 24 * HOUR_MS;
const TIMEOUT_MS = 15 * SECOND_MS;
/** How long a message that is being sent when the process ends may take. */
const CLOSING_MS = 2 * SECOND_MS;
/** How often the outbox is read. */
const FORWARD_MS = 500;
/**
 * How long the name of a sent message stays taken: another process may be about to forward the
 * same event.
 */
const KEPT_MS = MINUTE_MS;
/** BullMQ logs what it does in a stream that nobody reads. */
const MAX_EVENTS = 100;
/**
 * BullMQ allows no higher priority. It is reached only after two million turns during which
 * somebody always waited. From then on the order is first come, first served.
 */
const LAST_TURN = 2 ** 21 - 1;

/** After how long a message comes back whose process died while it sent it. */
const LOCK_MS = 5 * SECOND_MS;

const queue = { name: "webhooks", prefix: hashTag };

interface Message {
  readonly owner: string;
  /** Of a job or a study. */
  readonly job_id: string;
  /** Messages of earlier versions have none. */
  readonly turn?: number;
  readonly url: string;
  readonly body: string;
}

export interface WebhooksOptions {
  readonly store: Store;
  /**
   * `redis` is the store's connection. `patientRedis` waits for Redis (maxRetriesPerRequest: null)
   * and is closed here.
   */
  readonly redis: Redis;
  readonly patientRedis: Redis;
  /** The secrets of each owner. */
  readonly secrets: ReadonlyMap<string, readonly Buffer[]>;
  readonly allowedHosts: readonly string[];
  readonly log: Logger;
  readonly scheduleMs?: readonly number[];
  readonly timeoutMs?: number;
  readonly keptMs?: number;
  readonly resolve?: Resolve;
}

export class Webhooks {
  /** For the dashboard. */
  readonly bull: Queue<Message>;
  readonly #options: WebhooksOptions;
  readonly #scheduleMs: readonly number[];
  readonly #worker: Worker<Message>;
  readonly #slots = new Slots();
  readonly #timer: NodeJS.Timeout;
  readonly #forwards: Retry;
  #forwarding: Promise<void> | null = null;
  #forgotAt = 0;

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.#forwards = new Retry("webhook_outbox", options.log);
    this.#scheduleMs = options.scheduleMs ?? SCHEDULE_MS;
    this.bull = new Queue(queue.name, {
      connection: options.redis,
      prefix: queue.prefix,
      streams: { events: { maxLen: MAX_EVENTS } },
    });
    this.bull.on("error", () => undefined);
    // Not passed directly, because BullMQ counts the parameters of the function.
    const process = (message: Job<Message>, token?: string, closing?: AbortSignal) =>
      this.#process(message, token!, closing!);
    this.#worker = new Worker<Message>(queue.name, process, {
      connection: options.patientRedis,
      prefix: queue.prefix,
      concurrency: SLOTS,
      lockDuration: LOCK_MS,
      stalledInterval: LOCK_MS,
      // If processes die while they send a message, it is not given up.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      settings: { backoffStrategy: (failures, _type, error) => waitMs(this.#scheduleMs[failures - 1], error) },
    });
    this.#worker.on("error", (error) => options.log.debug({ err: error }, "BullMQ"));
    this.#timer = setInterval(() => this.#forward(), FORWARD_MS);
    this.#forward();
  }

  /**
   * Takes about `withinMs` at most. A message that is being sent and gets no answer in time goes
   * back to the queue, and the next process sends it again.
   */
  async close(withinMs: number): Promise<void> {
    clearInterval(this.#timer);
    const late = setTimeout(() => this.#worker.cancelAllJobs(), Math.min(withinMs, CLOSING_MS));
    await this.#forwarding;
    this.#forwards.gaveUp();
    await this.#worker.close();
    clearTimeout(late);
    await this.bull.close();
    this.#options.patientRedis.disconnect();
  }

  #forward(): void {
    this.#forwarding ??= this.#options.store.outbox
      .forward((notice) => this.#add(notice))
      .then(() => this.#forget())
      .then(() => this.#forwards.worked())
      .catch((error: unknown) => this.#forwards.failed(error))
      .finally(() => {
        this.#forwarding = null;
      });
  }

  async #add({ owner, id, url, turn, told }: Notice): Promise<void> {
    const { event } = told;
    const type = `${"job" in told ? "job" : "study"}.${event.type}`;
    const body = JSON.stringify({ type, timestamp: event.created_at, data: told });
    const message = { owner, job_id: id, turn, url, body };
    const options = {
      jobId: `${id}-${event.id}`,
      priority: Math.min(turn, LAST_TURN),
      attempts: this.#scheduleMs.length + 1,
      backoff: { type: "schedule" },
      // #forget removes them by age: BullMQ itself would do so only when another message was sent.
      removeOnComplete: { count: 1000 },
      removeOnFail: true,
    };
    await available(() => this.bull.add("send", message, options));
  }

  /** Deletes sent messages: they take room, and their jobs may have been deleted. */
  async #forget(): Promise<void> {
    const { keptMs = KEPT_MS } = this.#options;
    if (performance.now() - this.#forgotAt < keptMs) return;
    await available(() => this.bull.clean(keptMs, 0, "completed"));
    this.#forgotAt = performance.now();
  }

  async #process(message: Job<Message>, token: string, closing: AbortSignal): Promise<void> {
    const { owner, job_id } = message.data;
    if (!this.#slots.take(owner)) {
      await message.moveToDelayed(this.#slots.nextLook(owner, Date.now()), token);
      throw new DelayedError();
    }
    try {
      await this.#send(message, closing);
      await this.#settled(message);
    } catch (error) {
      if (closing.aborted) {
        await message.moveToWait(token);
        throw new WaitingError();
      }
      const last = error instanceof UnrecoverableError || message.attemptsMade + 1 >= message.opts.attempts!;
      const about = { job_id, webhook_id: message.id, err: error };
      this.#options.log.warn(about, last ? "webhook given up" : "webhook to be tried again");
      meters.webhooks.inc({ result: last ? "given_up" : "failed" });
      if (last) {
        await this.#giveUp(message, error as Error);
        await this.#settled(message);
      }
      throw error;
    } finally {
      this.#slots.giveBack(owner);
    }
  }

  async #send({ id, data: { owner, job_id, url, body, turn = 0 } }: Job<Message>, closing: AbortSignal): Promise<void> {
    const { store, secrets, allowedHosts, timeoutMs = TIMEOUT_MS, resolve } = this.#options;
    if (!(await store.outbox.begin(owner, job_id, turn))) return;
    const known = secrets.get(owner);
    if (!known) throw new Error(`RAPPEL_WEBHOOK_SECRETS has no secret of ${owner} any more.`);
    const timestamp = Math.floor(Date.now() / 1000);
    const headers = {
      "content-type": "application/json",
      "user-agent": "rappel",
      "webhook-id": id!,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signature(known, id!, timestamp, body),
    };
    const reply = await post(url, headers, body, { allowedHosts, timeoutMs, signal: closing, resolve });
    if (reply.status >= 200 && reply.status < 300) return meters.webhooks.inc({ result: "delivered" });
    if (reply.status === 410) {
      await store.outbox.disable(owner, job_id);
      throw new UnrecoverableError("the receiver answered 410: nothing more is sent for this job");
    }
    throw new Refused(reply.status, reply.retryAfterMs);
  }

  /** If Redis is away now, the room is given back when the job is deleted. */
  async #settled({ id, data: { owner, job_id } }: Job<Message>): Promise<void> {
    await this.#options.store.outbox.settled(owner, job_id, id!).catch(() => undefined);
  }

  async #giveUp({ id, data, attemptsMade }: Job<Message>, error: Error): Promise<void> {
    const { type } = JSON.parse(data.body) as { type: string };
    const attempts = attemptsMade + 1;
    const reason = reasonOf(error);
    const message = `${type} was not delivered to the webhook and is given up (attempts: ${attempts}): ${reason}.`;
    const event = { type: "webhook_failed" as const, message, step: null, data: { webhook_id: id, attempts, reason } };
    await this.#options.store.outbox.undelivered(data.owner, data.job_id, id!, event).catch((failure: unknown) => {
      this.#options.log.warn({ job_id: data.job_id, webhook_id: id, err: failure }, "could not record it");
    });
  }
}

/**
 * How long to wait: as the schedule says, or longer if the receiver asks for it, but at most a
 * day.
 */
export function waitMs(scheduledMs: number, error?: Error): number {
  const asked = error instanceof Refused ? Math.min(error.retryAfterMs, MAX_ASKED_MS) : 0;
  return Math.max(scheduledMs * (1 + JITTER * Math.random()), asked);
}

/** The reason in words for the job's owner. They must reveal nothing about our network. */
function reasonOf(error: Error): string {
  if (error instanceof Refused || error instanceof UnrecoverableError) return error.message;
  const timedOut = [error, error.cause].some((one) => one instanceof Error && one.name === "TimeoutError");
  return timedOut ? "the receiver did not answer in time" : "the receiver could not be reached";
}

export class Refused extends Error {
  readonly retryAfterMs: number;

  constructor(status: number, retryAfterMs: number) {
    super(`the receiver answered ${status}`);
    this.retryAfterMs = retryAfterMs;
  }
}
