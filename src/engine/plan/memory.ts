import { MODULE_BYTES, PAGE_BYTES } from "../kernels/kernels.ts";
import type { PlanFault } from "./faults.ts";

/** What a job's memory is for, with what counts to it. */
export const components = {
  weights: "The model's parameters and buffers, with averages and best weights.",
  gradients: "Gradients, and their sums over the batches of a step.",
  optimizer_state: "What the optimizer keeps between steps.",
  activations: "What passes between the layers and what they save for the way back, and its gradients.",
  checkpoint_copy: "A copy of the state, from which checkpoints are written while training goes on.",
  evaluation: "Records of an evaluation, from which metrics are computed.",
  data: "The encoded table, the order of its rows and the targets of a batch.",
  other: "The kernels, their scratch memory, logs, terms of the loss and observations.",
} as const;

export type Component = keyof typeof components;

/** One stretch of a job's memory: what it is for, where it begins, how long it is (bytes). */
export interface Region {
  readonly component: Component;
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
}

/**
 * wasm32 ends at 4 GiB; the last page is left free so that no address computed past an array's end
 * wraps around.
 */
export const MAX_MEMORY_BYTES = 65536 * PAGE_BYTES - PAGE_BYTES;

/** The fault of a job that does not fit. */
export function tooLarge(bytes: number): PlanFault {
  const gib = (bytes / 2 ** 30).toFixed(1);
  return {
    pointer: "/model",
    message: `needs ${gib} GiB of memory; a job has less than 4 GiB: make the model or the batch smaller`,
  };
}

/** Bytes of a cache line. */
export const LINE = 64;

/**
 * The memory map of a job: hands out stretches of its one memory, one after another, before
 * anything runs. Every stretch begins on a cache line, so that threads writing neighbours do not
 * share one, and vectors are aligned.
 */
export class MemoryMap {
  readonly regions: Region[] = [];
  #end = MODULE_BYTES;

  /** Reserves `bytes` bytes and returns their address. */
  take(component: Component, name: string, bytes: number): number {
    const address = this.#end;
    this.regions.push({ component, name, address, bytes });
    this.#end = address + wholeLines(bytes);
    return address;
  }

  /** The bytes of each component. They add up to `end`. */
  get components(): Record<Component, number> {
    const bytes = Object.fromEntries(Object.keys(components).map((name) => [name, 0])) as Record<Component, number>;
    for (const region of this.regions) bytes[region.component] += wholeLines(region.bytes);
    bytes.other += MODULE_BYTES;
    return bytes;
  }

  /** Where the next stretch will begin; also the size of the whole. */
  get end(): number {
    return this.#end;
  }
}

const wholeLines = (bytes: number): number => Math.ceil(bytes / LINE) * LINE;
