import { calculateGain, initializer, type Nonlinearity } from "../../src/engine/initializers/named.ts";
import { fans, type Initializer } from "../../src/engine/initializers/initializer.ts";
import type { GoldenCase } from "./golden.ts";
import type { Verdict } from "./verdict.ts";

interface GainCase extends GoldenCase {
  readonly function: "calculate_gain";
  readonly nonlinearity: Nonlinearity;
  readonly param: number | null;
  readonly gain: number;
}

/** What a shape's distributions are scaled by; the names of the cases say of which. */
interface FansCase extends GoldenCase {
  readonly shape: readonly number[];
  readonly fan_in: number;
  readonly fan_out: number;
  readonly [distribution: string]: unknown;
}

type Scale = Readonly<
  Record<"gain" | "negative_slope" | "bound" | "std" | "weight_uniform_bound" | "bias_uniform_bound", number>
>;

const FLOOR = 1e-12;

/** Gains, fans, bounds and deviations. */
export function initialiser(golden: GainCase | FansCase, verdict: Verdict): void {
  if ("nonlinearity" in golden) {
    const { nonlinearity, param, gain } = golden as GainCase;
    verdict.close("gain", [calculateGain(nonlinearity, param)], [gain], FLOOR);
  } else {
    scales(golden, verdict);
  }
}

function scales(golden: FansCase, verdict: Verdict): void {
  const { shape } = golden;
  const { fanIn, fanOut } = fans(shape);
  verdict.close("fans", [fanIn, fanOut], [golden.fan_in, golden.fan_out], 0);
  const check = (name: string, scale: (expected: Scale) => Initializer) => {
    const expected = golden[name] as Scale;
    const values = Object.values(scale(expected)).filter((value): value is number => typeof value === "number");
    const wanted = expected.bound ?? expected.std ?? expected.weight_uniform_bound;
    verdict.close(name, values, [wanted], FLOOR);
  };
  check("xavier_uniform", ({ gain }) => initializer("xavier_uniform", shape, { gain }));
  check("xavier_normal", ({ gain }) => initializer("xavier_normal", shape, { gain }));
  check("kaiming_uniform_relu_fan_in", () => initializer("kaiming_uniform", shape));
  check("kaiming_normal_relu_fan_in", () => initializer("kaiming_normal", shape));
  check("kaiming_normal_relu_fan_out", () => initializer("kaiming_normal", shape, { mode: "fan_out" }));
  check("kaiming_uniform_leaky_relu_fan_in", ({ negative_slope }) =>
    initializer("kaiming_uniform", shape, { gain: calculateGain("leaky_relu", negative_slope) }),
  );
  check("lecun_normal", () => initializer("lecun_normal", shape));
  check("torch_default_linear_or_conv", () => initializer("default", shape));
}
