import { forward as sigmoid } from "../../layers/sigmoid/reference.ts";

export const term = (x: number, y: number): number => Math.max(-y * x, 0) + Math.log1p(Math.exp(-Math.abs(y * x)));

export const derivative = (x: number, y: number): number => -y * sigmoid(-y * x);
