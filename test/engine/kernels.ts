import {
  compileKernels,
  createMemory,
  instantiateKernels,
  MODULE_BYTES,
  PAGE_BYTES,
  type Kernels,
} from "../../src/engine/kernels/kernels.ts";

const module = compileKernels();

/** Kernels over a memory of their own with `bytes` bytes of room from `MODULE_BYTES` on. */
export function kernelsWithRoom(bytes: number): Kernels {
  return instantiateKernels(module, createMemory(MODULE_BYTES + bytes + PAGE_BYTES));
}
