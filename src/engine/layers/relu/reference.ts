export const forward = (x: number): number => (x <= 0 ? 0 : x);

export const derivative = (x: number): number => (x <= 0 ? 0 : 1);
