import { forward as sigmoid } from "../sigmoid/reference.ts";

interface Options {
  beta: number;
  threshold: number;
}

export const forward = (x: number, { beta, threshold }: Options): number =>
  beta * x > threshold ? x : Math.log1p(Math.exp(beta * x)) / beta;

export const derivative = (x: number, { beta, threshold }: Options): number =>
  beta * x > threshold ? 1 : sigmoid(beta * x);
