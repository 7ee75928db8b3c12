/** The mean over the middle dimension of x, which is [outer, length, inner]. */
export function forward(x: ArrayLike<number>, outer: number, length: number, inner: number): number[] {
  return Array.from({ length: outer * inner }, (_, at) => {
    const first = Math.floor(at / inner) * length * inner + (at % inner);
    let sum = 0;
    for (let i = 0; i < length; i++) sum += x[first + i * inner];
    return sum / length;
  });
}

/** The gradient of x, from that of the mean. */
export function backward(g: ArrayLike<number>, outer: number, length: number, inner: number): number[] {
  return Array.from({ length: outer * length * inner }, (_, at) => {
    const row = Math.floor(at / (length * inner));
    return g[row * inner + (at % inner)] / length;
  });
}
