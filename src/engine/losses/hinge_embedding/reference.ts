interface Options {
  margin: number;
}

export const term = (x: number, y: number, { margin }: Options): number =>
  (y === -1 ? 0 : x) + (y === 1 ? 0 : Math.max(0, margin - x));

export const derivative = (x: number, y: number, { margin }: Options): number =>
  (y === -1 ? 0 : 1) - (y === 1 || x > margin ? 0 : 1);
