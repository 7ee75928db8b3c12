/**
 * Eigenvalues and eigenvectors of a small symmetric matrix, by Jacobi's rotations (Golub & Van
 * Loan, Matrix Computations, section 8.5). It needs no function but the square root, so its bits
 * are the same everywhere.
 */
export type Matrix = readonly (readonly number[])[];

/** Each sweep converges quadratically. Matrices of 64 rows take about ten. */
const MOST_SWEEPS = 30;

export function identity(n: number): number[][] {
  return Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? 1 : 0)));
}

/** The columns of `vectors` are the eigenvectors of the `values`. */
export function eigen(matrix: Matrix): { values: number[]; vectors: number[][] } {
  const n = matrix.length;
  const a = Float64Array.from(matrix.flat());
  // Each row is an eigenvector until the end, so that what a rotation changes lies together.
  const v = Float64Array.from(identity(n).flat());
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let rotated = false;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotated = rotate(a, v, n, p, q) || rotated;
    if (!rotated) break;
  }
  const numbers = Array.from({ length: n }, (_, i) => i);
  return {
    values: numbers.map((i) => a[i * n + i]),
    vectors: numbers.map((row) => numbers.map((column) => v[column * n + row])),
  };
}

/** Makes the element (p, q) zero. False if it is small enough already. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): boolean {
  const [first, last, off] = [a[p * n + p], a[q * n + q], a[p * n + q]];
  if (Math.abs(off) <= 1e-18 * (Math.abs(first) + Math.abs(last))) return false;
  const theta = (last - first) / (2 * off);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  turn(a, p, q, n, n, c, s);
  turn(a, p * n, q * n, 1, n, c, s);
  turn(v, p * n, q * n, 1, n, c, s);
  return true;
}

/** Turns two lines of n numbers, which begin at `x` and `y`, into each other. */
function turn(lines: Float64Array, x: number, y: number, stride: number, n: number, c: number, s: number): void {
  for (let k = 0; k < n; k++, x += stride, y += stride) {
    const [one, other] = [lines[x], lines[y]];
    lines[x] = c * one - s * other;
    lines[y] = s * one + c * other;
  }
}
