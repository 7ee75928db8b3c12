import { MODULE_BYTES, PAGE_BYTES } from "../kernels/kernels.ts";

/** One stretch of a job's memory: what it is for, where it begins, how long it is (bytes). */
export interface Region {
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
}

/**
 * wasm32 ends at 4 GiB; the last page is left free so that no address computed past an array's end
 * wraps around.
 */
export const MAX_MEMORY_BYTES = 65536 * PAGE_BYTES - PAGE_BYTES;

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
  take(name: string, bytes: number): number {
    const address = this.#end;
    this.regions.push({ name, address, bytes });
    this.#end = address + Math.ceil(bytes / LINE) * LINE;
    return address;
  }

  /** Where the next stretch will begin; also the size of the whole. */
  get end(): number {
    return this.#end;
  }
}
