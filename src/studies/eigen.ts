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
  const a = matrix.map((row) => [...row]);
  const vectors = identity(n);
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let rotated = false;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotated = rotate(a, vectors, p, q) || rotated;
    if (!rotated) break;
  }
  return { values: a.map((row, i) => row[i]), vectors };
}

/** Makes the element (p, q) zero. False if it is small enough already. */
function rotate(a: number[][], vectors: number[][], p: number, q: number): boolean {
  const off = a[p][q];
  if (Math.abs(off) <= 1e-18 * (Math.abs(a[p][p]) + Math.abs(a[q][q]))) return false;
  const theta = (a[q][q] - a[p][p]) / (2 * off);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[k][p], a[k][q]];
    a[k][p] = c * x - s * y;
    a[k][q] = s * x + c * y;
  }
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[p][k], a[q][k]];
    a[p][k] = c * x - s * y;
    a[q][k] = s * x + c * y;
  }
  for (const row of vectors) {
    const [x, y] = [row[p], row[q]];
    row[p] = c * x - s * y;
    row[q] = s * x + c * y;
  }
  return true;
}
