import type { GoldenCase } from "./golden.ts";
import { Unsupported } from "./verdict.ts";

export function trainingRun(_golden: GoldenCase): void {
  throw new Unsupported("training");
}
