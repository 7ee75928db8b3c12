/** Random numbers of one trial: each is a function of (seed, purpose, trial, index). */
import { functionKernels } from "../engine/kernels/kernels.ts";
import { normalPair, PURPOSE, randomWords, unitDouble, type Words } from "../engine/kernels/random.ts";

export class Draws {
  readonly #seed: number;
  readonly #trial: number;
  #index = 0;

  constructor(seed: number, trial: number) {
    this.#seed = seed;
    this.#trial = trial;
  }

  /** In [0, 1). */
  uniform(): number {
    const words = this.#words();
    return unitDouble(words[0], words[1]);
  }

  /** From the standard normal distribution. */
  normal(): number {
    const words = this.#words();
    return normalPair(words[0], words[1], functionKernels())[0];
  }

  /** A number of 32 bits. */
  word(): number {
    return this.#words()[0];
  }

  #words(): Words {
    return randomWords(this.#seed, PURPOSE.search, this.#trial, 0, this.#index++);
  }
}
