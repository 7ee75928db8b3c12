// What the addon knows of the processor: the sets of instructions that kernels were compiled for,
// and how the thread computes.
#pragma once
#include <stdint.h>
#include <string.h>
#include "kernels.h"

/** A set of instructions for which there are kernels. */
typedef struct {
  const char *name;
  const kernel_call *calls;
} instruction_set;

#if defined __x86_64__
#include <xmmintrin.h>

/** The best first. */
static const instruction_set sets[] = {{"avx512", calls_avx512}, {"avx2", calls_avx2}};

static int supports(const char *name) {
  __builtin_cpu_init();
  const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (strcmp(name, "avx2") == 0) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/**
 * Whether this thread rounds to nearest and keeps subnormal numbers: the control word without its
 * flags and masks of exceptions is 0.
 */
static int computes_exactly(void) { return (_mm_getcsr() & 0xe040) == 0; }

#elif defined __aarch64__

static const instruction_set sets[] = {{"neon", calls_neon}};

/** Each arm64 processor has NEON. */
static int supports(const char *name) { return strcmp(name, "neon") == 0; }

/**
 * The same of FPCR: its bits for the rounding (RMode), for flushing (FZ, FIZ) and for other rules
 * of arithmetic (AH, NEP) are 0.
 */
static int computes_exactly(void) {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return (control & 0x1c00007) == 0;
}

#endif
