import { forward as sigmoid } from "../sigmoid/reference.ts";

export const forward = (x: number): number => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));

export const derivative = (x: number): number => sigmoid(-x);
