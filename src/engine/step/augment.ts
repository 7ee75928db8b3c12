/*
 * Augmentation: samples that train are changed at random, each time they come. What happens to a
 * sample is a function of the seed, the epoch and its row, so it is the same on any thread and
 * after any resume. The names are torchvision's.
 *
 * An image is [channels, height, width]. A shift of an image with a border of zeros is a crop of
 * it: `random_crop` with a padding takes the window of the image's own size at a random place. Zero
 * is the number that the model would get. The noise is added last.
 */
import type { Kernels } from "../kernels/kernels.ts";
import { PURPOSE, randomWords, seedHalves, unitFloat } from "../kernels/random.ts";
import { size, type Shape } from "../member/shape.ts";
import type { Augment } from "../settings.ts";

/** Keeps the noise apart from that of gradients, whose streams are numbers of parameters. */
const NOISE_STREAM = 2 ** 31;

export class Augmentation {
  readonly #kernels: Kernels;
  readonly #shape: Shape;
  readonly #seed: number;
  readonly #augment: Augment;

  constructor(kernels: Kernels, shape: Shape, seed: number, augment: Augment) {
    this.#kernels = kernels;
    this.#shape = shape;
    this.#seed = seed;
    this.#augment = augment;
  }

  /** Writes the sample of a row, whose numbers begin at `source`, to the job's memory. */
  write(from: Float32Array, source: number, row: number, epoch: number, address: number): void {
    const { random_horizontal_flip: flip, random_crop: crop, gaussian_noise: noise } = this.#augment;
    const words = randomWords(this.#seed, PURPOSE.augment, epoch, 0, row);
    const width = size(this.#shape);
    if (flip === null && crop === null) this.#kernels.f32.set(from.subarray(source, source + width), address / 4);
    else {
      const padding = crop?.padding ?? 0;
      const shift = (word: number) => Math.floor(unitFloat(word) * (2 * padding + 1)) - padding;
      const isFlipped = flip !== null && unitFloat(words[0]) < flip.p;
      this.#move(from, source, address / 4, shift(words[1]), shift(words[2]), isFlipped);
    }
    if (noise === null) return;
    const [low, high] = seedHalves(this.#seed);
    this.#kernels.add_normal(address, 0, width, low, high, NOISE_STREAM + epoch, row, noise.sigma);
  }

  #move(from: Float32Array, source: number, to: number, down: number, right: number, isFlipped: boolean): void {
    const [channels, height, width] = this.#shape;
    const { f32 } = this.#kernels;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < height; y++) {
        const row = source + (channel * height + y + down) * width;
        const isInside = y + down >= 0 && y + down < height;
        for (let x = 0; x < width; x++) {
          const at = (isFlipped ? width - 1 - x : x) + right;
          f32[to++] = isInside && at >= 0 && at < width ? from[row + at] : 0;
        }
      }
    }
  }
}
