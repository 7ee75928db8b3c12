// What the addon knows of the kernels.
#pragma once

/** A kernel: its name, and a function that takes its arguments from the block. */
typedef struct {
  const char *name;
  void (*call)(double *block);
} kernel_call;

/** For each set of instructions, all kernels; the last one has no name. */
extern const kernel_call calls_avx2[], calls_avx512[], calls_neon[];
