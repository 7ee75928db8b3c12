import type { Encoded } from "../data/encode/encoding.ts";
import { collectSoon } from "../engine/crew/garbage.ts";
import { targetsOf } from "../engine/losses/targets.ts";
import { takenBy } from "../engine/plan/taken.ts";
import { dataBytes } from "../engine/training.ts";
import type { WantedData } from "./prepare.ts";
import type { Asking } from "./questions.ts";

/** The data of the last jobs are kept, up to this size. */
const KEPT_BYTES = 64 * 2 ** 20;

/**
 * The data of the jobs of a lane. The main thread reads and encodes them. They are kept for jobs
 * that are alike: a dataset cannot be deleted while a job needs it.
 */
export class LaneDatasets {
  readonly #main: Asking;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Encoded>();

  constructor(main: Asking) {
    this.#main = main;
  }

  /** @throws JobFailure, DatasetUnreachable */
  async read(owner: string, { datasetIds, inherited, spec: { data, loss, model } }: WantedData): Promise<Encoded> {
    const wanted = { datasetIds, inherited, spec: { data, loss, model } };
    const key = JSON.stringify([owner, datasetIds, inherited, data, targetsOf(loss), takenBy(model.layers)]);
    const encoded = this.#kept.get(key) ?? (await this.#main.ask("data", { owner, wanted }));
    this.#keep(key, encoded);
    return encoded;
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
