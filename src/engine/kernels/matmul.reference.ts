/** k is cut into blocks of so many. */
const BLOCK = 256;

/**
 * The matrix product C[m,n] = A[m,k] · B[k,n] (+ bias) as the arithmetic defines it, one output at
 * a time. `fma` is the fused multiply-add of float32; A, B and C are row-major.
 */
export function matmul(
  a: Float32Array,
  b: Float32Array,
  bias: Float32Array | null,
  [m, n, k]: readonly [number, number, number],
  fma: (a: number, b: number, c: number) => number,
): Float32Array {
  const c = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let total = 0;
      for (let begin = 0; begin < k; begin += BLOCK) {
        let sum = 0;
        for (let p = begin; p < Math.min(begin + BLOCK, k); p++) sum = fma(a[i * k + p], b[p * n + j], sum);
        total = begin === 0 ? sum : Math.fround(total + sum);
      }
      c[i * n + j] = bias === null ? total : Math.fround(total + bias[j]);
    }
  }
  return c;
}
