import { forward as sigmoid } from "../../layers/sigmoid/reference.ts";

interface Options {
  /** The weight of this output. */
  pos_weight: number;
  weight: number;
}

export const term = (x: number, y: number, { pos_weight, weight }: Options): number =>
  weight * (pos_weight * y * softplus(-x) + (1 - y) * softplus(x));

export const derivative = (x: number, y: number, { pos_weight, weight }: Options): number =>
  weight * ((1 - y) * sigmoid(x) - pos_weight * y * sigmoid(-x));

/** ln(1 + e^x) */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
