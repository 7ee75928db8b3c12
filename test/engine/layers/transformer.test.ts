import { describe, expect, it, test } from "vitest";
import { MODULE_BYTES } from "../../../src/engine/kernels/kernels.ts";
import { forward as rowNorm } from "../../../src/engine/layers/layer_norm/reference.ts";
import { forward as turn } from "../../../src/engine/layers/rotary_embedding/reference.ts";
import { forward as attend } from "../../../src/engine/layers/scaled_dot_product_attention/reference.ts";
import { gated } from "../../../src/engine/layers/swiglu/reference.ts";
import {
  expectNaN,
  expectReference,
  expectSameBits,
  float,
  integer,
  numbers,
  rowsOf,
  single,
  type LayerCase,
  type Parameters,
} from "../../support/layer-checks.ts";
import { LayerRun } from "../../support/layer-run.ts";
import { member } from "../../support/training.ts";

type Matrix = number[][];

/** x Wᵀ + b for rows x; W and b as flat lists, b perhaps missing. */
const product = (x: Matrix, weight: readonly number[], bias?: readonly number[]): Matrix =>
  x.map((row) => rowsOf(weight, row.length).map((w, i) => w.reduce((sum, w, c) => sum + w * row[c], bias?.[i] ?? 0)));

/** The parts of each row of `width` numbers. */
const split = (x: Matrix, width: number): Matrix[] =>
  Array.from({ length: x[0].length / width }, (_, h) => x.map((row) => row.slice(h * width, (h + 1) * width)));

const joined = (parts: readonly Matrix[]): Matrix => parts[0].map((_, t) => parts.flatMap((part) => part[t]));

interface Heads {
  readonly heads: number;
  readonly causal?: boolean;
  readonly sees?: (query: number, key: number) => boolean;
  readonly base?: number;
}

/**
 * One sample through multihead_attention, whose parameters are called `<at>.in_proj_weight` and so
 * on.
 */
function multihead(q: Matrix, k: Matrix, v: Matrix, p: Parameters, at: string, of: Heads): Matrix {
  const features = q[0].length;
  const weights = rowsOf(p[`${at}.in_proj_weight`], features * features);
  const biases = p[`${at}.in_proj_bias`] ? rowsOf(p[`${at}.in_proj_bias`], features) : [];
  const [queries, keys, values] = [q, k, v].map((x, i) =>
    split(product(x, weights[i], biases[i]), features / of.heads),
  );
  const placed = (x: Matrix) => (of.base === undefined ? x : x.map((row, t) => turn(row, t, of.base!)));
  const sees = (i: number, j: number) => (!of.causal || j <= i) && (of.sees?.(i, j) ?? true);
  const scale = 1 / Math.sqrt(features / of.heads);
  const heads = queries.map((q, h) => attend({ q: placed(q), k: placed(keys[h]), v: values[h], scale, sees }));
  return product(joined(heads), p[`${at}.out_proj.weight`], p[`${at}.out_proj.bias`]);
}

/** Self-attention of each sample of [time, features]. */
const selfAttention =
  (time: number, features: number, of: Heads, mask?: (sample: number) => Heads["sees"]): LayerCase["reference"] =>
  ([x], p) =>
    rowsOf(x, time * features).flatMap((sample, i) => {
      const rows = rowsOf(sample, features);
      return multihead(rows, rows, rows, p, "it", { ...of, sees: mask?.(i) }).flat();
    });

const norm = (x: Matrix, p: Parameters, at: string): Matrix =>
  x.map((row) => rowNorm(row, 1e-5, true).map((value, i) => value * p[`${at}.weight`][i] + p[`${at}.bias`][i]));

const add = (x: Matrix, y: Matrix): Matrix => x.map((row, t) => row.map((value, i) => value + y[t][i]));

const relu = (x: Matrix): Matrix => x.map((row) => row.map((value) => Math.max(0, value)));

/**
 * transformer_encoder_layer with relu, or swiglu where there is a linear3; perhaps with a mask of
 * keys.
 */
const encoder =
  (time: number, features: number, of: Heads, normFirst: boolean): LayerCase["reference"] =>
  ([all, mask], p) => {
    const attention = (x: Matrix, sample: number) => {
      const sees = mask && ((_query: number, key: number) => mask[sample * time + key] !== 0);
      return multihead(x, x, x, p, "it.self_attn", { ...of, sees });
    };
    const full = (x: Matrix, at: string) => product(x, p[`it.${at}.weight`], p[`it.${at}.bias`]);
    const gate = (x: Matrix) =>
      full(x, "linear1").map((row, t) => row.map((value, i) => gated(value, full(x, "linear3")[t][i])));
    const network = (x: Matrix) => full("it.linear3.weight" in p ? gate(x) : relu(full(x, "linear1")), "linear2");
    return rowsOf(all, time * features).flatMap((sample, i) => {
      let x = rowsOf(sample, features);
      if (normFirst) {
        x = add(x, attention(norm(x, p, "it.norm1"), i));
        return add(x, network(norm(x, p, "it.norm2"))).flat();
      }
      x = norm(add(x, attention(x, i)), p, "it.norm1");
      return norm(add(x, network(x)), p, "it.norm2").flat();
    });
  };

const keysSeen = [1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1];
const pairsSeen = Array.from({ length: 75 }, (_, i) => Number(i % 4 !== 1));
const gentle = { tolerances: [5e-6, 3e-5] } as const;

const cases: LayerCase[] = [
  single("swiglu", { hidden_features: 5 }, [float("x", 2, 3)], ([x], p) => {
    const rows = rowsOf(x, 3);
    const [one, three] = [product(rows, p["it.w1.weight"]), product(rows, p["it.w3.weight"])];
    const middle = one.map((row, t) => row.map((value, i) => gated(value, three[t][i])));
    return product(middle, p["it.w2.weight"]).flat();
  }),
  single(
    "scaled_dot_product_attention",
    { is_causal: true },
    [float("q", 2, 4, 3), float("k", 2, 4, 3), float("v", 2, 4, 5)],
    ([q, k, v]) =>
      rowsOf(q, 12).flatMap((rows, i) =>
        attend({
          q: rowsOf(rows, 3),
          k: rowsOf(rowsOf(k, 12)[i], 3),
          v: rowsOf(rowsOf(v, 20)[i], 5),
          scale: 1 / Math.sqrt(3),
          sees: (query, key) => key <= query,
        }).flat(),
      ),
  ),
  single(
    "scaled_dot_product_attention",
    { scale: -0.4 },
    [float("q", 2, 3), float("k", 5, 3), float("v", 5, 2), integer("mask", [5])],
    ([q, k, v, mask]) =>
      rowsOf(q, 6).flatMap((rows, i) =>
        attend({
          q: rowsOf(rows, 3),
          k: rowsOf(rowsOf(k, 15)[i], 3),
          v: rowsOf(rowsOf(v, 10)[i], 2),
          scale: -0.4,
          sees: (_, key) => mask[i * 5 + key] !== 0,
        }).flat(),
      ),
    { values: { mask: keysSeen } },
  ),
  single("multihead_attention", { num_heads: 2 }, [float("x", 5, 4)], selfAttention(5, 4, { heads: 2 }), gentle),
  single(
    "multihead_attention",
    { num_heads: 3, bias: false, causal: true },
    [float("x", 4, 9)],
    selfAttention(4, 9, { heads: 3, causal: true }),
    gentle,
  ),
  single(
    "multihead_attention",
    { num_heads: 2, rotary_base: 100 },
    [float("x", 4, 12)],
    selfAttention(4, 12, { heads: 2, base: 100 }),
    { tolerances: [1e-5, 1e-4] },
  ),
  single(
    "multihead_attention",
    { num_heads: 1 },
    [float("x", 5, 3), integer("mask", [5])],
    ([x, mask], p) => selfAttention(5, 3, { heads: 1 }, (i) => (_, key) => mask[i * 5 + key] !== 0)([x], p),
    { ...gentle, values: { mask: keysSeen } },
  ),
  single(
    "multihead_attention",
    { num_heads: 2 },
    [float("query", 5, 4), float("memory", 3, 4)],
    ([q, memory], p) =>
      rowsOf(q, 20).flatMap((sample, i) => {
        const keys = rowsOf(rowsOf(memory, 12)[i], 4);
        return multihead(rowsOf(sample, 4), keys, keys, p, "it", { heads: 2 }).flat();
      }),
    gentle,
  ),
  single(
    "multihead_attention",
    { num_heads: 2 },
    [float("query", 5, 4), float("key", 5, 4), float("value", 5, 4), integer("mask", [5, 5])],
    ([q, k, v, mask], p) =>
      rowsOf(q, 20).flatMap((sample, i) => {
        const [keys, values] = [k, v].map((x) => rowsOf(rowsOf(x, 20)[i], 4));
        const sees = (query: number, key: number) => mask[i * 25 + query * 5 + key] !== 0;
        return multihead(rowsOf(sample, 4), keys, values, p, "it", { heads: 2, sees }).flat();
      }),
    { ...gentle, values: { mask: pairsSeen } },
  ),
  ...[false, true].map((norm_first) =>
    single(
      "transformer_encoder_layer",
      { nhead: 2, dim_feedforward: 3, dropout: 0, norm_first },
      [float("x", 5, 4), integer("mask", [5])],
      encoder(5, 4, { heads: 2 }, norm_first),
      { tolerances: [3e-5, 1e-3], values: { mask: keysSeen } },
    ),
  ),
  ...[false, true].map((norm_first) =>
    single(
      "transformer_encoder_layer",
      { nhead: 2, dim_feedforward: 6, dropout: 0, norm_first, causal: norm_first },
      [float("x", 4, 8)],
      encoder(4, 8, { heads: 2, causal: norm_first }, norm_first),
      { tolerances: [3e-5, 1e-3] },
    ),
  ),
  ...[false, true].map((norm_first) =>
    single(
      "transformer_encoder_layer",
      { nhead: 1, dim_feedforward: 5, dropout: 0, norm_first, activation: "swiglu", rotary_base: 10 },
      [float("x", 3, 4)],
      encoder(3, 4, { heads: 1, base: 10 }, norm_first),
      { tolerances: [3e-5, 1e-3] },
    ),
  ),
];

describe("layers of transformers", () => {
  it.each(cases)("$title", (layerCase) => {
    expectReference(layerCase);
    expectSameBits(layerCase);
  });

  it.each(cases.filter(({ inputs }) => inputs.length === 1))("hands NaN on: $title", expectNaN);
});

test("attention writes no gradient of an input that nothing learns from", () => {
  const list = [
    member("layers", "linear", { name: "q", out_features: 4, inputs: ["query"] }),
    member("layers", "multihead_attention", { num_heads: 2, inputs: ["q", "memory"] }),
  ];
  const run = new LayerRun(list, [float("query", 3, 4), float("memory", 5, 4)], 2, false);
  for (const { name, length } of run.parameters) run.setParameter(name, numbers(length, 1));
  run.forward([numbers(24, 2), numbers(40, 3)], true);
  const constants = () => run.kernels.u8.slice(0, MODULE_BYTES);
  const before = constants();
  run.backward(numbers(24, 4), true);
  expect(Buffer.compare(constants(), before)).toBe(0);
});

test("attention takes memory in proportion to the positions", () => {
  const bytes = (positions: number) => {
    const { layers: list, inputs } = single(
      "transformer_encoder_layer",
      { nhead: 2, dim_feedforward: 16, causal: true, rotary_base: 10000 },
      [float("x", positions, 16)],
      () => [],
    );
    return new LayerRun(list, inputs, 1).kernels.u8.length;
  };
  const [one, two, four] = [1024, 2048, 4096].map(bytes);
  expect((four - two) / (two - one)).toBeLessThan(2.2);
});

describe("dropout of attention", () => {
  const [keys, p] = [70, 0.3];
  const inputs = [float("q", 6, 4), float("k", keys, 4), float("v", keys, keys)];
  const identity = Array.from({ length: 3 * keys * keys }, (_, i) => Number((i % (keys * keys)) % (keys + 1) === 0));
  const attention = (dropout_p: number) =>
    single("scaled_dot_product_attention", { dropout_p }, inputs, () => [], { values: { v: identity } });
  /** The shares of the keys for each query, which the identity shows, and both passes. */
  const run = (dropout_p: number, training = true, slabs?: readonly number[]) => {
    const { layers: list } = attention(dropout_p);
    const made = new LayerRun(list, inputs, 3);
    made.forward([numbers(72, 1), numbers(3 * keys * 4, 2), identity], training, slabs);
    return { made, shares: [...made.output()] };
  };

  it("zeroes shares and enlarges the others, when it trains", () => {
    const whole = run(0).shares;
    const { shares } = run(p);
    const zeroed = shares.filter((share, i) => {
      if (share !== 0) expect(share).toBeCloseTo(whole[i] / (1 - p), 5);
      return share === 0;
    });
    expect(Math.abs(zeroed.length / shares.length - p)).toBeLessThan(0.05);
    expect(run(p, true, [0, 1, 3]).shares).toEqual(shares);
    expect(run(p, false).shares).toEqual(whole);
    expect(run(1).shares.every((share) => share === 0)).toBe(true);
    // No two queries, heads or samples lose the same keys.
    expect(new Set(rowsOf(shares, keys).map((row) => row.map((share) => share === 0).join())).size).toBe(18);
  });

  it("goes back through the shares that were left", () => {
    const { made, shares } = run(p);
    const upstream = numbers(shares.length, 5);
    made.backward(upstream, true);
    const [q, k] = [numbers(72, 1), numbers(3 * keys * 4, 2)];
    const kept = shares.map((share) => (share === 0 ? 0 : 1 / (1 - p)));
    const loss = () =>
      rowsOf(q, 24).reduce((total, rows, i) => {
        const [keysOf, values] = [rowsOf(rowsOf(k, keys * 4)[i], 4), rowsOf(identity.slice(0, keys * keys), keys)];
        const y = attend({ q: rowsOf(rows, 4), k: keysOf, v: values, scale: 0.5, sees: () => true }).flat();
        const at = i * y.length;
        return y.reduce((sum, value, c) => sum + value * kept[at + c] * upstream[at + c], total);
      }, 0);
    for (const [list, input] of [
      [q, 0],
      [k, 1],
    ] as const) {
      const gradient = made.inputGradient(input);
      for (let i = 0; i < list.length; i += 17) {
        const value = list[i];
        list[i] = value + 1e-5;
        const above = loss();
        list[i] = value - 1e-5;
        const slope = (above - loss()) / 2e-5;
        list[i] = value;
        expect(Math.abs(gradient[i] - slope)).toBeLessThan(1e-5);
      }
    }
  });
});

describe("composite layers", () => {
  it("have PyTorch's names of parameters", () => {
    const { layers: list, inputs } = single("transformer_encoder_layer", { nhead: 2 }, [float("x", 3, 4)], () => []);
    const names = new LayerRun(list, inputs, 2).parameters.map(({ name }) => name.replace("it.", ""));
    const attention = ["in_proj_bias", "in_proj_weight", "out_proj.bias", "out_proj.weight"];
    const others = ["linear1", "linear2", "norm1", "norm2"].flatMap((name) => [`${name}.bias`, `${name}.weight`]);
    expect(names.sort()).toEqual([...others, ...attention.map((name) => `self_attn.${name}`)].sort());
  });
});
