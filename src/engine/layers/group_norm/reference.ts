import { forward as normalize } from "../layer_norm/reference.ts";

/**
 * A sample of `channels` channels, in `groups` groups: each group brought to mean 0 and variance 1.
 */
export function forward(x: readonly number[], groups: number, eps: number): number[] {
  const length = x.length / groups;
  return Array.from({ length: groups }, (_, i) => normalize(x.slice(i * length, (i + 1) * length), eps, true)).flat();
}
