import type { MessagePort } from "node:worker_threads";
import type { ThreadMessage } from "./messages.ts";

/** How long news may wait for more. */
const WAIT_MS = 20;

/** Where a thread of a crew leaves its messages. */
export interface Outbox {
  post(message: ThreadMessage): void;
  /** Takes an entry of the log. Without it, entries go to the ring in the memory. */
  log?(step: number, loss: number, rate: number, norm: number): void;
  /** Called between steps. True: the thread must let others work before it goes on. */
  due(): boolean;
}

/**
 * What a thread tells the main thread. Each message that is sent costs the main thread as much time
 * as a small model needs for several steps. So news wait a little, and go together.
 */
export class Mail implements Outbox {
  readonly #port: MessagePort;
  #waiting: ThreadMessage[] = [];
  #sentAt = performance.now();

  constructor(port: MessagePort) {
    this.#port = port;
  }

  post(message: ThreadMessage): void {
    this.#waiting.push(message);
    if (!canWait(message)) this.#send();
  }

  /** Sends what is due. The thread need not return to its event loop for that. */
  due(): false {
    if (this.#waiting.length > 0 && performance.now() - this.#sentAt >= WAIT_MS) this.#send();
    return false;
  }

  #send(): void {
    this.#port.postMessage(this.#waiting);
    this.#waiting = [];
    this.#sentAt = performance.now();
  }
}

/** A last state and the end are followed at once by the message that the thread is idle. */
function canWait(message: ThreadMessage): boolean {
  if (message.type === "snapshot") return message.file !== null;
  return !["log", "failed", "idle"].includes(message.type);
}
