export const forward = (x: number): number => x / (1 + Math.abs(x));

export const derivative = (x: number): number => 1 / (1 + Math.abs(x)) ** 2;
