import { forward as sigmoid } from "../sigmoid/reference.ts";

export const forward = (x: number): number => x * sigmoid(x);

export const derivative = (x: number): number => sigmoid(x) * (1 + x * sigmoid(-x));
