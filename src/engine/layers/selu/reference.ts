const SCALE = 1.0507009873554805;
const ALPHA = 1.6732632423543772;

export const forward = (x: number): number => SCALE * (x > 0 ? x : ALPHA * Math.expm1(x));

export const derivative = (x: number): number => SCALE * (x > 0 ? 1 : ALPHA * Math.exp(x));
