import { beforeEach, describe, expect, it } from "vitest";
import {
  normalPair,
  philox,
  PURPOSE,
  randomWords,
  seedHalves,
  shuffle,
  unitFloat,
} from "../../../src/engine/kernels/random.ts";
import { Bench } from "../../support/kernels.ts";

const seed = 2 ** 53 - 12345;
const [low, high] = seedHalves(seed);
const length = 1003;
const bench = new Bench();
const { kernels } = bench;
const address = bench.reserve(length * 4);
const values = (at = address) => Array.from(bench.read(at, length));

/** The number of each element as random.ts defines it. */
function drawn(
  purpose: number,
  stream: number,
  step: number,
  number: (words: readonly number[], i: number) => number,
): number[] {
  return Array.from({ length }, (_, i) =>
    Math.fround(number(randomWords(seed, purpose, stream, step, i >>> 2), i & 3)),
  );
}

describe("Philox4x32-10", () => {
  // Random123's kat_vectors.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [Array(4).fill(0xffffffff), Array(2).fill(0xffffffff), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])("gives the known answer for counter %j and key %j", (counter, [key0, key1], answer) => {
    expect(philox(counter as [number, number, number, number], key0, key1)).toEqual(answer);
  });

  it("takes all 53 bits of a seed", () => {
    expect(seedHalves(2 ** 53 - 1)).toEqual([0xffffffff, 0x1fffff]);
    expect(randomWords(1, 1, 0, 0, 0)).not.toEqual(randomWords(1 + 2 ** 32, 1, 0, 0, 0));
  });
});

describe("gradient noise", () => {
  const noise = (begin: number, end: number, step = 9) =>
    kernels.add_normal(address, begin, end, low, high, 7, step, 0.3);
  const start = (value: number) => kernels.f32.fill(value, address >> 2, (address >> 2) + length);

  it("is Box and Muller's transform of the words of random.ts, within float32", () => {
    start(0);
    noise(0, length);
    const number = (words: readonly number[], i: number) => {
      const radius = Math.sqrt(-2 * Math.log((words[i >> 1] + 0.5) / 2 ** 32));
      const word = words[2 + (i >> 1)];
      const turns = (word >>> 30) / 4 + ((word & 0x3fffffff) / 2 ** 30 - 0.5) / 4;
      return 0.3 * radius * (i % 2 === 0 ? Math.cos(2 * Math.PI * turns) : Math.sin(2 * Math.PI * turns));
    };
    const expected = drawn(PURPOSE.gradientNoise, 7, 9, number);
    values().forEach((value, i) => expect(Math.abs(value - expected[i])).toBeLessThan(4e-7));
  });

  it("is added to the gradient, however the range is cut", () => {
    start(5);
    noise(0, length);
    const whole = values();
    expect(whole.every((value) => value > 3 && value < 7 && value !== 5)).toBe(true);
    start(5);
    noise(400, 404);
    noise(404, length);
    noise(0, 400);
    expect(values()).toEqual(whole);
  });

  it("differs from step to step", () => {
    start(0);
    noise(0, length, 8);
    const before = values();
    start(0);
    noise(0, length, 9);
    expect(values().filter((value, i) => value === before[i])).toEqual([]);
  });
});

describe("initial values", () => {
  const uniform = (begin: number, end: number) => kernels.fill_uniform(address, begin, end, low, high, 7, 0.3);
  const normal = (begin: number, end: number) => kernels.fill_normal(address, begin, end, low, high, 7, 0.3);

  it("are uniform, bit for bit as random.ts draws them", () => {
    uniform(0, length);
    expect(values()).toEqual(drawn(PURPOSE.initialize, 7, 0, (words, i) => 0.3 * (2 * unitFloat(words[i]) - 1)));
  });

  it("are normal, bit for bit as random.ts draws them", () => {
    normal(0, length);
    const number = (words: readonly number[], i: number) =>
      0.3 * normalPair(words[i & 2], words[(i & 2) + 1], kernels)[i & 1];
    expect(values()).toEqual(drawn(PURPOSE.initialize, 7, 0, number));
  });

  it.each([
    ["uniform", uniform],
    ["normal", normal],
  ])("do not depend on where %s ranges are cut", (_name, fill) => {
    fill(0, length);
    const whole = values();
    kernels.f32.fill(9, address >> 2, (address >> 2) + length);
    for (const [begin, end] of [
      [0, 1],
      [1, 3],
      [3, 9],
      [9, 12],
      [12, 501],
      [501, length],
    ])
      fill(begin, end);
    expect(values()).toEqual(whole);
  });

  it("have the moments of their distributions", () => {
    const many = 40_000;
    const sample = bench.reserve(many * 4);
    const moments = () => {
      const x = bench.read(sample, many);
      const mean = x.reduce((sum, value) => sum + value, 0) / many;
      return { mean, deviation: Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / many) };
    };
    kernels.fill_normal(sample, 0, many, 1, 0, 0, 2);
    expect(Math.abs(moments().mean)).toBeLessThan(0.05);
    expect(moments().deviation).toBeCloseTo(2, 1);
    kernels.fill_uniform(sample, 0, many, 1, 0, 0, 2);
    expect(Math.abs(moments().mean)).toBeLessThan(0.05);
    expect(moments().deviation).toBeCloseTo(2 / Math.sqrt(3), 1);
  });
});

describe("shuffle", () => {
  const at = address >> 2;
  const shuffled = (count: number, epoch: number) => {
    kernels.i32.set(
      Int32Array.from({ length: count }, (_, i) => i),
      at,
    );
    kernels.shuffle(address, count, low, high, epoch);
    return kernels.i32.slice(at, at + count);
  };

  it.each([1, 2, 5, 1003])("orders %d rows as random.ts does, and every row once", (count) => {
    const expected = Int32Array.from({ length: count }, (_, i) => i);
    shuffle(expected, seed, 3);
    expect(shuffled(count, 3)).toEqual(expected);
    expect([...expected].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it("differs from epoch to epoch and from purpose to purpose", () => {
    expect(shuffled(50, 1)).not.toEqual(shuffled(50, 2));
    const split = Int32Array.from({ length: 50 }, (_, i) => i);
    shuffle(split, seed, 1, PURPOSE.split);
    expect(shuffled(50, 1)).not.toEqual(split);
  });

  it("gives each of the orders of three rows equally often", () => {
    const counts = new Map<string, number>();
    for (let epoch = 0; epoch < 6000; epoch++) {
      const order = shuffled(3, epoch).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

describe("dropout", () => {
  const x = address;
  const y = bench.reserve(length * 4);
  const input = Array.from({ length }, (_, i) => Math.fround(i - 500.5));
  const drop = (begin: number, end: number, p: number, step = 5) =>
    kernels.dropout(x, y, begin, end, low, high, 2, step, p);
  beforeEach(() => kernels.f32.set(input, x >> 2));

  it("keeps the elements that random.ts draws, scaled once", () => {
    drop(0, length, 0.3);
    const scale = Math.fround(1 / (1 - 0.3));
    const expected = drawn(PURPOSE.dropout, 2, 5, (words, i) => Number(words[i] >= 0.3 * 2 ** 32)).map((kept, i) =>
      kept === 1 ? Math.fround(input[i] * scale) : 0,
    );
    expect(values(y)).toEqual(expected);
    expect(expected.filter((value) => value === 0).length / length).toBeCloseTo(0.3, 1);
  });

  it("does not depend on where the batch is cut", () => {
    drop(0, length, 0.5);
    const whole = values(y);
    kernels.f32.fill(9, y >> 2, (y >> 2) + length);
    for (const [begin, end] of [
      [0, 7],
      [7, 8],
      [8, 14],
      [14, 402],
      [402, length],
    ])
      drop(begin, end, 0.5);
    expect(values(y)).toEqual(whole);
  });

  it("draws new masks at every step", () => {
    drop(0, length, 0.5, 1);
    const first = values(y);
    drop(0, length, 0.5, 2);
    expect(values(y)).not.toEqual(first);
  });

  it("keeps an element whose number is exactly p, and zeroes it for any larger p", () => {
    const p = randomWords(seed, PURPOSE.dropout, 2, 5, 1)[2] * 2 ** -32;
    const kept = (probability: number) => {
      drop(0, length, probability);
      return values(y)[6] !== 0;
    };
    expect([kept(p), kept(p + 2 ** -33)]).toEqual([true, false]);
  });

  it("is the identity for p = 0 and zero for p = 1, whatever the input", () => {
    drop(0, length, 0);
    expect(values(y)).toEqual(input);
    kernels.f32[x >> 2] = Infinity;
    drop(0, length, 1);
    expect(values(y).every((value) => value === 0)).toBe(true);
  });
});
