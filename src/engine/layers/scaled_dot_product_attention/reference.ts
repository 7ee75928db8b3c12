/** One head of one sample: rows of numbers. */
export interface Head {
  readonly q: readonly (readonly number[])[];
  readonly k: readonly (readonly number[])[];
  readonly v: readonly (readonly number[])[];
  readonly scale: number;
  /** Whether query i may see key j. */
  readonly sees: (i: number, j: number) => boolean;
}

/** y = softmax(scale q kᵀ) v; 0 for a query that sees no key. */
export function forward(head: Head): number[][] {
  return probabilities(head).map((p) => head.v[0].map((_, c) => sum(p, (p, j) => p * head.v[j][c])));
}

/** The gradients of q, k and v from that of y. */
export function backward(head: Head, g: readonly (readonly number[])[]) {
  const { q, k, v, scale } = head;
  const p = probabilities(head);
  const y = forward(head);
  const slopes = p.map((row, i) => row.map((p, j) => p * (dot(g[i], v[j]) - dot(g[i], y[i])) * scale));
  return {
    q: q.map((row, i) => row.map((_, c) => sum(k, (k, j) => slopes[i][j] * k[c]))),
    k: k.map((row, j) => row.map((_, c) => sum(q, (q, i) => slopes[i][j] * q[c]))),
    v: v.map((row, j) => row.map((_, c) => sum(g, (g, i) => p[i][j] * g[c]))),
  };
}

function probabilities({ q, k, scale, sees }: Head): number[][] {
  return q.map((q, i) => {
    const scores = k.map((k, j) => (sees(i, j) ? scale * dot(q, k) : -Infinity));
    const most = scores.reduce((a, b) => Math.max(a, b));
    const exponentials = scores.map((score) => (score === -Infinity ? 0 : Math.exp(score - most)));
    const total = sum(exponentials, (e) => e);
    return exponentials.map((e) => (total === 0 ? 0 : e / total));
  });
}

const dot = (a: readonly number[], b: readonly number[]): number => sum(a, (a, i) => a * b[i]);

function sum<T>(list: readonly T[], of: (item: T, i: number) => number): number {
  return list.reduce((total, item, i) => total + of(item, i), 0);
}
