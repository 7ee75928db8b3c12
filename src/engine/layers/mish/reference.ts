import { forward as sigmoid } from "../sigmoid/reference.ts";

/** tanh(ln(1 + e^x)) */
const gate = (x: number): number => Math.tanh(Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));

export const forward = (x: number): number => x * gate(x);

export const derivative = (x: number): number => gate(x) + x * (1 - gate(x) ** 2) * sigmoid(x);
