/** What sinusoidal_position adds at position t, place i of `size`. */
export function wave(t: number, i: number, size: number): number {
  const angle = t / 10000 ** ((i - (i % 2)) / size);
  return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
}
