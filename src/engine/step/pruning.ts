import { directionOf } from "../metrics/metrics.ts";
import type { Pruning } from "../settings.ts";

/**
 * Whether an evaluation ends a job. A rung belongs to the first evaluation at its epoch or after
 * it. A metric that is not finite is worse than every threshold.
 * @param epoch epochs finished
 * @param every epochs from one evaluation to the next; the last one may come earlier
 */
export function isPruned({ metric, rungs }: Pruning, epoch: number, every: number, value: number): boolean {
  const before = (Math.ceil(epoch / every) - 1) * every;
  return rungs.some((rung) => {
    if (rung.value === null || rung.epoch <= before || rung.epoch > epoch) return false;
    if (!Number.isFinite(value)) return true;
    return directionOf(metric) === "max" ? value < rung.value : value > rung.value;
  });
}
