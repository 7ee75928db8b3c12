import {
  compileKernels,
  createMemory,
  instantiateKernels,
  MODULE_BYTES,
  type Kernels,
} from "../../src/engine/kernels/kernels.ts";

const module = compileKernels();

/** The kernels on a small memory of their own, and the means to put arrays into it. */
export class Bench {
  readonly kernels: Kernels;
  private next = MODULE_BYTES;

  constructor(bytes = 1 << 20) {
    this.kernels = instantiateKernels(module, createMemory(MODULE_BYTES + bytes));
  }

  /** Copies `values` into memory as float32; returns their address, a multiple of 64. */
  floats(values: ArrayLike<number>): number {
    const address = this.reserve(values.length * 4);
    this.kernels.f32.set(values, address >> 2);
    return address;
  }

  /** Copies `values` into memory as int32. */
  integers(values: ArrayLike<number>): number {
    const address = this.reserve(values.length * 4);
    this.kernels.i32.set(values, address >> 2);
    return address;
  }

  /** The address of `bytes` zeroed bytes. */
  reserve(bytes: number): number {
    const address = this.next;
    this.next += Math.ceil(bytes / 64) * 64;
    if (this.next > this.kernels.u8.length)
      throw new RangeError("the test's memory is full; give the Bench more bytes");
    return address;
  }

  /** A copy of `length` float32 values from `address` on. */
  read(address: number, length: number): Float32Array {
    return this.kernels.f32.slice(address >> 2, (address >> 2) + length);
  }

  /** Their bits, for comparisons that tell −0 from 0. */
  bits(address: number, length: number): Int32Array {
    return this.kernels.i32.slice(address >> 2, (address >> 2) + length);
  }
}

/** Numbers of mixed sign and size, the same every time. */
export function numbers(count: number, seed: number): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * (state % 7 === 0 ? 100 : 1);
  });
}

/** The bits of floats, for comparisons that tell −0 from 0. */
export function bitsOf(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}
