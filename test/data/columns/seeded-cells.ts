/** Columns of all kinds of cells, from a seed. */
export function seededColumns(seed: number, count: number): string[][] {
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const kinds: ((i: number) => string)[] = [
    () => String(next(50)),
    () => String(next(1e6)),
    () => (next(1e6) / 1000).toFixed(next(4)),
    () => `${next(1e5)},${next(100)}`,
    () => `0${next(1e5)}`,
    () => `12345678901234567${next(1e4)}`,
    () => `c${next(5000)}`,
    () => `c${next(900)}`,
    () => `2024-01-${10 + next(20)}`,
    () => ["", "NA", "?", " ", "nan", "1e999", ".5", "-0", "x".repeat(300)][next(9)],
    () => `${next(100)}e-${next(400)}`,
    () => ` ${next(2000)}\t`,
    () => ["yes", "no", "😀", "～"][next(4)],
  ];
  return Array.from({ length: count }, () => {
    const main = kinds[next(kinds.length)];
    const other = kinds[next(kinds.length)];
    const odds = [0, 0, 2, 500, 2000][next(5)];
    const empty = [0, 0, 10][next(3)];
    return Array.from({ length: 1 + next(4000) }, (_, i) => {
      if (empty > 0 && next(empty) === 0) return "";
      return odds > 0 && next(odds) === 0 ? other(i) : main(i);
    });
  });
}
