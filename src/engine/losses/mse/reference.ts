export const term = (x: number, y: number): number => (x - y) ** 2;

export const derivative = (x: number, y: number): number => 2 * (x - y);
