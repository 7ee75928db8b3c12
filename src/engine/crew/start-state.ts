import type { Kernels } from "../kernels/kernels.ts";
import type { Plan } from "../plan/model.ts";
import { share } from "../plan/slices.ts";
import type { Progress } from "../state/state.ts";

/**
 * The state at the beginning of a run that takes no checkpoints: it is kept where they would be
 * copied to. Each thread keeps and restores its own share, and all must meet afterwards.
 */
export class StartState {
  readonly #copy: (to: "state" | "snapshot") => void;
  readonly #scalars: Progress["scalars"];
  readonly #groups: Progress["groups"];

  constructor(kernels: Kernels, { addresses, threads }: Plan, thread: number, { scalars, groups }: Progress) {
    const { stateBytes } = addresses;
    const [from, to] = share(stateBytes / 64, thread, threads).map((line) => line * 64);
    this.#copy = (there) => {
      const here = addresses[there === "state" ? "snapshot" : "state"];
      kernels.u8.copyWithin(addresses[there] + from, here + from, here + to);
    };
    this.#scalars = structuredClone(scalars);
    this.#groups = structuredClone(groups);
    this.#copy("snapshot");
  }

  restore(progress: Progress): void {
    this.#copy("state");
    Object.assign(progress.scalars, this.#scalars);
    for (const [i, { scalars }] of this.#groups.entries()) Object.assign(progress.groups[i].scalars, scalars);
  }
}
