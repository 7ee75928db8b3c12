/** A head at position t, its halves turned against each other. */
export function forward(x: readonly number[], t: number, base: number): number[] {
  const half = x.length / 2;
  return x.map((value, c) => {
    const i = c % half;
    const angle = t * base ** (-i / half);
    const other = c < half ? -x[c + half] : x[i];
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}
