import type { MessagePort } from "node:worker_threads";
import type { Encoded } from "../data/encode/encoding.ts";
import { collectSoon } from "../engine/crew/garbage.ts";
import { targetsOf } from "../engine/losses/targets.ts";
import { takenBy } from "../engine/plan/taken.ts";
import { dataBytes } from "../engine/training.ts";
import { encodedIn, type DataAnswer, type LaneMessage } from "./lane-messages.ts";
import type { WantedData } from "./prepare.ts";

/** The data of the last jobs are kept, up to this size. */
const KEPT_BYTES = 64 * 2 ** 20;

/**
 * The data of the jobs of a lane. The main thread reads and encodes them. They are kept for jobs
 * that are alike: a dataset cannot be deleted while a job needs it.
 */
export class LaneDatasets {
  readonly #port: MessagePort;
  readonly #asked = new Map<number, (answer: DataAnswer) => void>();
  /** In the order of their last use. */
  readonly #kept = new Map<string, Encoded>();
  #asks = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** @throws JobFailure, DatasetUnreachable */
  async read(owner: string, { datasetIds, inherited, spec: { data, loss, model } }: WantedData): Promise<Encoded> {
    const wanted = { datasetIds, inherited, spec: { data, loss, model } };
    const key = JSON.stringify([owner, datasetIds, inherited, data, targetsOf(loss), takenBy(model.layers)]);
    const encoded = this.#kept.get(key) ?? (await this.#ask(owner, wanted));
    this.#keep(key, encoded);
    return encoded;
  }

  answered(id: number, answer: DataAnswer): void {
    this.#asked.get(id)!(answer);
    this.#asked.delete(id);
  }

  async #ask(owner: string, wanted: WantedData): Promise<Encoded> {
    const id = this.#asks++;
    this.#port.postMessage({ type: "wanted", id, owner, wanted } satisfies LaneMessage);
    return encodedIn(await new Promise<DataAnswer>((resolve) => this.#asked.set(id, resolve)));
  }

  #keep(key: string, encoded: Encoded): void {
    this.#kept.delete(key);
    this.#kept.set(key, encoded);
    let bytes = [...this.#kept.values()].reduce((sum, { data }) => sum + dataBytes(data), 0);
    for (const [oldest, { data }] of this.#kept) {
      if (bytes <= KEPT_BYTES) break;
      this.#kept.delete(oldest);
      bytes -= dataBytes(data);
      collectSoon();
    }
  }
}
