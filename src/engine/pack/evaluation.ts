import type { TrainingJob } from "../job.ts";
import type { Kernels } from "../kernels/kernels.ts";
import type { ForwardPass } from "../layers/layer.ts";
import type { Loss } from "../losses/loss.ts";
import type { Plan } from "../plan/model.ts";
import type { Barrier } from "../step/barrier.ts";
import { Network } from "../step/network.ts";
import { bindObjective, lossOf } from "../step/objective.ts";
import type { LaneBatches } from "./batches.ts";
import { LANES, type LanePlace } from "./face.ts";

const PASS: ForwardPass = { training: false, batch: 0, seedLow: 0, seedHigh: 0 };

/**
 * The losses of an evaluation of all jobs of a pack at once. Each is what `lossOf`
 * (step/evaluation.ts) gives for the job alone: the same terms, added up in the same order.
 */
export class PackEvaluation {
  /** The addresses of its inputs. */
  readonly inputs: readonly number[];
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #place: LanePlace;
  readonly #network: Network;
  readonly #loss: Loss;
  readonly #rows: number;
  readonly #sums = new Float64Array(LANES);
  readonly #divisors = new Float64Array(LANES);

  /** `face`: the kernels of the pack. All jobs have as many rows that validate. */
  constructor(kernels: Kernels, face: Kernels, plan: Plan, job: TrainingJob, place: LanePlace, barrier: Barrier) {
    this.#kernels = kernels;
    this.#plan = plan;
    this.#place = place;
    this.#network = new Network(face, plan, plan.evaluation, barrier, 0);
    this.#loss = bindObjective(face, plan, this.#network, lossOf(job), job.data.target.classes).loss;
    this.#rows = job.data.validRows.length;
    this.inputs = this.#network.values;
  }

  /** Evaluates the present weights. */
  run(batches: readonly LaneBatches[]): void {
    this.#sums.fill(0);
    this.#divisors.fill(0);
    const room = this.#plan.evaluation.rows;
    for (let at = 0; at < this.#rows; at += room) {
      const count = Math.min(room, this.#rows - at);
      for (const lane of batches) lane.gatherValid(at, at + count);
      this.#network.forward(0, count, count, PASS);
      this.#loss.run(0, count, 0);
      this.#add(count * this.#plan.targetSize);
    }
  }

  lossOf(lane: number): number {
    return this.#sums[lane] / (this.#divisors[lane] || 1);
  }

  /** Adds up the terms and the divisors of the first targets, one after the other. */
  #add(targets: number): void {
    const { f32, f64 } = this.#kernels;
    const { addresses } = this.#plan;
    const terms = (addresses.terms * LANES) >>> 2;
    const divisors = this.#place.divisors >>> 3;
    for (let target = 0; target < targets; target++) {
      const common = this.#loss.divisor(addresses.targets + target * 4, 1, 0);
      for (let lane = 0; lane < LANES; lane++) {
        this.#sums[lane] += f32[terms + target * LANES + lane];
        this.#divisors[lane] += this.#loss.weighs ? f64[divisors + lane] : common;
      }
    }
  }
}
