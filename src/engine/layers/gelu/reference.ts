interface Options {
  approximate: string;
}

export function forward(x: number, { approximate }: Options): number {
  return approximate === "none" ? x * normal(x) : (x / 2) * (1 + Math.tanh(inner(x)));
}

export function derivative(x: number, { approximate }: Options): number {
  if (approximate === "none") return normal(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
  const t = Math.tanh(inner(x));
  const slope = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
  return t * t === 1 ? (1 + t) / 2 : (1 + t) / 2 + (x / 2) * (1 - t * t) * slope;
}

const inner = (x: number): number => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);

/**
 * Φ: near 0 by its power series, φ(x) (x + x³/3 + x⁵/15 + …) + 1/2; further out the tail's
 * continued fraction, φ(a) / (a + 1/(a + 2/(a + …))).
 */
export function normal(x: number): number {
  const a = Math.abs(x);
  const density = Math.exp((-a * a) / 2) / Math.sqrt(2 * Math.PI);
  let tail = a;
  if (a < 3) {
    let sum = 0;
    for (let term = a, n = 1; term > 1e-18 * a; n += 2, term *= (a * a) / n) sum += term;
    tail = 0.5 - density * sum;
  } else {
    for (let n = 100; n > 0; n--) tail = a + n / tail;
    tail = density / tail;
  }
  return x < 0 ? tail : 1 - tail;
}
