/**
 * A point on the line that is searched: its distance along the line, the loss there, and the slope
 * of the loss along the line.
 */
export interface Trial {
  readonly step: number;
  readonly loss: number;
  readonly slope: number;
}

/**
 * The share of the decrease promised by the first slope that a step must reach, and the share of
 * the slope that may be left.
 */
const DECREASE = 1e-4;
const CURVATURE = 0.9;

const MOST_TRIALS = 25;

/**
 * A bracket counts as a point if its length times the direction's largest element is below this.
 */
const SHORTEST = 1e-9;

/**
 * Searches a line for a step that satisfies the strong Wolfe conditions: the loss has fallen by
 * enough and is nearly flat there. It yields steps to try and expects the trial of each. It returns
 * one of the trials, or `start` if none was better.
 *
 * At first the steps grow, until such a point must lie between two of them. Then cubic
 * interpolation narrows that bracket. Nocedal & Wright, "Numerical optimization" (2006), algorithms
 * 3.5 and 3.6. Where the book leaves a choice open, this follows the search of PyTorch (and Lua
 * Torch).
 *
 * @param first the first step
 * @param size the largest element of the direction
 */
export function* strongWolfe(start: Trial, first: number, size: number): Generator<number, Trial, Trial> {
  const tooHigh = ({ step, loss }: Trial) => loss > start.loss + DECREASE * step * start.slope;
  const flat = ({ slope }: Trial) => Math.abs(slope) <= -CURVATURE * start.slope;
  let before = start;
  let trial = yield first;
  let trials = 0;
  while (trials < MOST_TRIALS && !tooHigh(trial) && !(trials > 1 && trial.loss >= before.loss)) {
    if (flat(trial)) return trial;
    if (trial.slope >= 0) break;
    const least = trial.step + 0.01 * (trial.step - before.step);
    const next = cubicMinimum(before, trial, least, trial.step * 10);
    before = trial;
    trial = yield next;
    trials++;
  }
  const bracket = [trials === MOST_TRIALS ? start : before, trial];
  let low = lower(bracket);
  let stalled = false;
  for (; trials < MOST_TRIALS && Math.abs(bracket[1].step - bracket[0].step) * size >= SHORTEST; trials++) {
    const inner = innerStep(bracket, stalled);
    stalled = inner.stalled;
    trial = yield inner.step;
    const high = 1 - low;
    if (tooHigh(trial) || trial.loss >= bracket[low].loss) {
      bracket[high] = trial;
      low = lower(bracket);
    } else {
      if (flat(trial)) return trial;
      if (trial.slope * (bracket[high].step - bracket[low].step) >= 0) bracket[high] = bracket[low];
      bracket[low] = trial;
    }
  }
  return bracket[low];
}

const lower = ([a, b]: readonly Trial[]): number => (a.loss <= b.loss ? 0 : 1);

/**
 * The next step to try within a bracket. A step next to an end or on it, twice in a row, is no
 * progress: the next one is then a tenth of the bracket away from that end.
 */
function innerStep([a, b]: readonly Trial[], stalled: boolean): { step: number; stalled: boolean } {
  const least = Math.min(a.step, b.step);
  const most = Math.max(a.step, b.step);
  const margin = 0.1 * (most - least);
  const step = cubicMinimum(a, b, least, most);
  if (Math.min(most - step, step - least) >= margin) return { step, stalled: false };
  if (!stalled && step < most && step > least) return { step, stalled: true };
  const nearer = Math.abs(step - most) < Math.abs(step - least) ? most - margin : least + margin;
  return { step: nearer, stalled: false };
}

/**
 * The minimum of the cubic through two trials, within bounds; the middle of the bounds if the cubic
 * has none.
 */
function cubicMinimum(a: Trial, b: Trial, least: number, most: number): number {
  const [left, right] = a.step <= b.step ? [a, b] : [b, a];
  const d1 = a.slope + b.slope - (3 * (a.loss - b.loss)) / (a.step - b.step);
  const square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (least + most) / 2;
  const d2 = Math.sqrt(square);
  const share = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2);
  return Math.min(Math.max(right.step - (right.step - left.step) * share, least), most);
}
