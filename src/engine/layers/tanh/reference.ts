export const forward = (x: number): number => Math.tanh(x);

export const derivative = (x: number): number => 1 - Math.tanh(x) ** 2;
