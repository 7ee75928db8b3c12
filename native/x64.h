// What AVX-512 and AVX2 share: vectors of a fixed number of lanes.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define MASKED_LOADS 1

typedef __m128 floats4;
#define floats4_at(at) _mm_loadu_ps((const float *)(at))
#define floats4_store(at, x) _mm_storeu_ps(at, x)
#define floats4_fma(a, b, c) _mm_fmadd_ps(a, b, c)
#define floats4_transpose(a, b, c, d) _MM_TRANSPOSE4_PS(a, b, c, d)

/** The first `lanes` of eight lanes are ones, the others zeros. */
INLINE __m256i lanes_before(int lanes) {
  static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256((const __m256i *)(ones + 8 - lanes));
}
