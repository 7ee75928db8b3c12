/** Random changes of samples. */
import { expect, test } from "vitest";
import { Augmentation } from "../../../src/engine/step/augment.ts";
import type { Augment } from "../../../src/engine/settings.ts";
import { Bench } from "../../support/kernels.ts";
import { classes, member, smallJob, train } from "../../support/training.ts";

const none: Augment = { random_horizontal_flip: null, random_crop: null, gaussian_noise: null };
const [CHANNELS, HEIGHT, WIDTH] = [2, 3, 4];
const image = Float32Array.from({ length: CHANNELS * HEIGHT * WIDTH }, (_, i) => i + 1);

function written(augment: Partial<Augment>, { seed = 3, epoch = 0, row = 0 } = {}): number[] {
  const bench = new Bench();
  const address = bench.reserve(image.byteLength);
  const augmentation = new Augmentation(bench.kernels, [CHANNELS, HEIGHT, WIDTH], seed, { ...none, ...augment });
  augmentation.write(image, 0, row, epoch, address);
  return [...bench.kernels.f32.subarray(address / 4, address / 4 + image.length)];
}

/** By definition: each pixel is the one `down` and `right` of it, or 0. */
function moved(down: number, right: number, isFlipped: boolean): number[] {
  return Array.from(image, (_, i) => {
    const x = i % WIDTH;
    const y = Math.floor(i / WIDTH) % HEIGHT;
    const [fromX, fromY] = [(isFlipped ? WIDTH - 1 - x : x) + right, y + down];
    const isInside = fromX >= 0 && fromX < WIDTH && fromY >= 0 && fromY < HEIGHT;
    return isInside ? image[i - x - y * WIDTH + fromY * WIDTH + fromX] : 0;
  });
}

const many = (augment: Partial<Augment>, count = 400) =>
  Array.from({ length: count }, (_, row) => written(augment, { row, epoch: row % 3 }));

test("a flip mirrors each row of an image, with its probability", () => {
  const flipped = many({ random_horizontal_flip: { p: 0.25 } });
  const mirrored = flipped.filter((pixels) => String(pixels) === String(moved(0, 0, true)));
  expect(mirrored.length).toBeGreaterThan(70);
  expect(mirrored.length).toBeLessThan(130);
  const rest = flipped.filter((pixels) => String(pixels) === String([...image]));
  expect(rest.length + mirrored.length).toBe(400);
  expect(written({ random_horizontal_flip: { p: 1 } })).toEqual(moved(0, 0, true));
});

test("a crop shifts by every number of rows and columns alike, with zeros at the border", () => {
  const shifts = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((right) => String(moved(down, right, false))));
  const counts = new Map(shifts.map((shift) => [shift, 0]));
  for (const pixels of many({ random_crop: { padding: 1 } }, 900))
    counts.set(String(pixels), (counts.get(String(pixels)) ?? 0) + 1);
  expect(counts.size).toBe(9);
  for (const count of counts.values()) expect(Math.abs(count - 100)).toBeLessThan(40);
});

test("noise is normal, and is added to what was moved", () => {
  const noises = many({ gaussian_noise: { sigma: 0.5 } }).flatMap((pixels) =>
    pixels.map((pixel, i) => pixel - image[i]),
  );
  const mean = noises.reduce((sum, noise) => sum + noise, 0) / noises.length;
  const deviation = Math.sqrt(noises.reduce((sum, noise) => sum + noise * noise, 0) / noises.length);
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.abs(deviation - 0.5)).toBeLessThan(0.02);
  const [both, flip] = [{ gaussian_noise: { sigma: 1e-4 } }, {}].map((noise) =>
    written({ random_horizontal_flip: { p: 1 }, random_crop: { padding: 2 }, ...noise }),
  );
  expect(both).not.toEqual(flip);
  for (const [i, pixel] of both.entries()) expect(pixel).toBeCloseTo(flip[i], 2);
});

test("what happens depends on the seed, the epoch and the row, and on nothing else", () => {
  const augment = { random_crop: { padding: 3 }, gaussian_noise: { sigma: 1 } };
  expect(written(augment)).toEqual(written(augment));
  for (const other of [{ seed: 2 ** 33 + 3 }, { epoch: 1 }, { row: 1 }])
    expect(written(augment, other)).not.toEqual(written(augment));
});

const data = classes(60, 12);
const images = { ...data, inputs: [{ ...data.inputs[0], shape: [1, 3, 4] }] };
const augmented = (augment: Augment | null) => ({
  ...smallJob({
    data: images,
    layers: [
      member("layers", "conv2d", { out_channels: 3, kernel_size: 2 }),
      member("layers", "flatten"),
      member("layers", "linear"),
    ],
    training: { epochs: 3, batch_size: 7, eval_every_epochs: 1, log_every_steps: 1 },
  }),
  augment,
});
const all: Augment = {
  random_horizontal_flip: { p: 0.5 },
  random_crop: { padding: 1 },
  gaussian_noise: { sigma: 0.1 },
};

test("the same bytes from any number of threads, and from a checkpoint", async () => {
  const whole = await train(augmented(all), { threads: 1, everySteps: 8 });
  for (const threads of [2, 5])
    expect((await train(augmented(all), { threads })).state?.sha256).toBe(whole.state?.sha256);
  const [[, state]] = [...whole.checkpoints];
  expect((await train(augmented(all), { threads: 2, state })).state?.sha256).toBe(whole.state?.sha256);
  expect((await train(augmented(null))).state?.sha256).not.toBe(whole.state?.sha256);
});

test("evaluations see the samples as they are", async () => {
  const still = { ...augmented(null), optimizer: member("optimizers", "sgd", { lr: 0 }) };
  const losses = async (augment: Augment | null) => {
    const valid: number[] = [];
    const { losses: trained } = await train(
      { ...still, augment },
      { evaluated: ({ metrics }) => valid.push(metrics.valid_loss) },
    );
    return { valid, trained };
  };
  const [plain, changed] = [await losses(null), await losses(all)];
  expect(changed.valid).toEqual(plain.valid);
  expect(changed.trained).not.toEqual(plain.trained);
});
