// Elementary functions of four floats at once.
//
// Why our own: `Math`'s functions differ between versions of V8 in their last bits, and WebAssembly
// has none. Here every lane is computed by the same additions, multiplications and fused
// multiply-adds whatever stands in the other lanes, so a result depends on its argument alone.
//
// How: an argument is brought into a short interval around 0 (by powers of two for exp and log),
// where a polynomial is as good as float32 can tell. The polynomials are minimax fits (Lawson's
// iteration, in 40 digits; then coefficient after coefficient rounded to float32, lowest first, and
// the rest fitted again). The error given beside each function is an upper bound of what was found
// against double precision at 20 million arguments of every magnitude, in units in the last place
// (ulp); test/engine/kernels/math.test.ts holds it. NaN gives NaN everywhere.
//
// Constants stand in tables in memory, not in the code: V8 loads one with a single instruction, but
// builds it from several wherever the code names it, which made these functions up to twice as
// slow.
import { fma, fnma } from "./vector.as";

// Each polynomial's coefficients, lowest first, without the leading ones that are exact.

// (e^r − 1 − r) / r², |r| ≤ ln 2 / 2
const EXPM1: usize = memory.data<f32>([0.49999997, 0.16666546, 0.041667435, 0.008366262, 0.0013870657]);
// (ln(1 + f) − f) / f², |f| ≤ 1/3
const LOG: usize = memory.data<f32>([
  -0.5, 0.33333215, -0.24999802, 0.20010452, -0.1668031, 0.14005138, -0.12186582, 0.13988008, -0.1288209,
]);
// (ln(1 + x) − x) / x², 0 ≤ x ≤ 1
const LOG1P: usize = memory.data<f32>([
  -0.4999993, 0.3333047, -0.24958156, 0.19693193, -0.15349098, 0.10670013, -0.057561528, 0.020150334, -0.0033065395,
]);
// sin(π/2 x) / x and cos(π/2 x) as functions of x², |x| ≤ 1/2; their series, which converge as
// quickly as any fit.
const SIN: usize = memory.data<f32>([1.5707964, -0.6459641, 0.079692625, -0.0046817544, 0.00016044118]);
const COS: usize = memory.data<f32>([1, -1.2337005, 0.2536695, -0.020863481, 0.0009192602, -0.000025202042]);
// See normalOf.
const NORMAL: usize = memory.data<f32>([
  0.1595758, 0.15962972, 0.13311693, 0.091462724, -0.027272249, 0.120400116, -0.3752402, 0.38327974, -0.17725028, 0.03229771,
]);

const ONE: usize = memory.data<f32>([1]);
const TWO: usize = memory.data<f32>([2]);
const HALF: usize = memory.data<f32>([0.5]);
const SIGN: usize = memory.data<u32>([0x80000000]);
const LOG2E: usize = memory.data<f32>([1.44269504]);
// ln 2 as the sum of two floats.
const LN2: usize = memory.data<f32>([0.693147182, -1.90465421e-9]);
// Added to a float below 2^22 in magnitude, 1.5 × 2^23 leaves no bits for a fraction: the sum's low
// bits are the nearest integer.
const ROUND: usize = memory.data<f32>([12582912]);
const EXPONENT_BIAS: usize = memory.data<i32>([127]);
// Beyond these e^x is 0 and infinity.
const EXP_RANGE: usize = memory.data<f32>([-105, 89]);
// Below this e^x − 1 is −1.
const EXPM1_LEAST: usize = memory.data<f32>([-30]);
// Beyond ± this e^(−x²/2) is 0.
const GAUSSIAN_MOST: usize = memory.data<f32>([15]);
const NORMAL_SCALE: usize = memory.data<f32>([0.4]);

/** A constant, or number i of a table, in all lanes. */
@inline
function c(table: usize, i: usize = 0): v128 {
  return v128.load32_splat(table + (i << 2));
}

/** The sum of table[i] × x^i for i ≤ degree, by Horner's rule; the degree is a constant, 4 to 9. */
@inline
function polynomial(table: usize, degree: usize, x: v128): v128 {
  let p = c(table, degree);
  if (degree > 8) p = fma(p, x, c(table, 8));
  if (degree > 7) p = fma(p, x, c(table, 7));
  if (degree > 6) p = fma(p, x, c(table, 6));
  if (degree > 5) p = fma(p, x, c(table, 5));
  if (degree > 4) p = fma(p, x, c(table, 4));
  p = fma(p, x, c(table, 3));
  p = fma(p, x, c(table, 2));
  p = fma(p, x, c(table, 1));
  return fma(p, x, c(table));
}

/**
 * x within low..high; NaN stays NaN (pmin and pmax return their first operand if the comparison
 * fails).
 */
@inline
export function clamp(x: v128, low: v128, high: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, low), high);
}

/** ROUND + n, where n is the integer nearest to x / ln 2. */
@inline
function multiple(x: v128): v128 {
  return fma(x, c(LOG2E), c(ROUND));
}

/** e^r − 1, where x = n ln 2 + r and |r| ≤ ln 2 / 2. */
@inline
function reduced(x: v128, rounded: v128): v128 {
  const n = f32x4.sub(rounded, c(ROUND));
  const r = fnma(n, c(LN2, 1), fnma(n, c(LN2), x));
  const p = polynomial(EXPM1, 4, r);
  return fma(p, f32x4.mul(r, r), r);
}

/** 2^n as a float, for n in −126..127. */
@inline
function power(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, c(EXPONENT_BIAS)), 23);
}

/** e^x, to 1.1 ulp, subnormal results included; 0 below −104, infinity above 88.73. */
@inline
export function exp(x: v128): v128 {
  const bounded = clamp(x, c(EXP_RANGE), c(EXP_RANGE, 1));
  const rounded = multiple(bounded);
  const n = i32x4.sub(rounded, c(ROUND));
  // In two halves: 2^128 and 2^−150 are no floats of their own.
  const half = i32x4.shr_s(n, 1);
  const near = f32x4.add(reduced(bounded, rounded), c(ONE));
  return f32x4.mul(f32x4.mul(near, power(half)), power(i32x4.sub(n, half)));
}

/** e^x − 1 for x ≤ 0, to 1.0 ulp. */
@inline
export function expm1(x: v128): v128 {
  const bounded = f32x4.pmax(x, c(EXPM1_LEAST));
  const rounded = multiple(bounded);
  const scale = power(i32x4.sub(rounded, c(ROUND)));
  return fma(reduced(bounded, rounded), scale, f32x4.sub(scale, c(ONE)));
}

/** ln x, to 1.0 ulp; −infinity at 0, NaN below. */
@inline
export function log(x: v128): v128 {
  const subnormal = f32x4.lt(x, f32x4.splat(1.17549435e-38));
  const normal = v128.bitselect(f32x4.mul(x, f32x4.splat(8388608.0)), x, subnormal);
  // x = 2^e (1 + f) with 1 + f in 2/3..4/3.
  const e = v128.and(i32x4.sub(normal, f32x4.splat(0.6666667)), i32x4.splat(0xff800000));
  const f = f32x4.sub(i32x4.sub(normal, e), c(ONE));
  const exponent = f32x4.add(f32x4.convert_i32x4_s(i32x4.shr_s(e, 23)), v128.and(f32x4.splat(-23.0), subnormal));
  const p = polynomial(LOG, 8, f);
  const finite = fma(exponent, c(LN2), fma(p, f32x4.mul(f, f), f));
  const positive = v128.bitselect(finite, x, f32x4.lt(x, f32x4.splat(Infinity)));
  return v128.bitselect(positive, f32x4.sub(f32x4.sqrt(x), f32x4.splat(Infinity)), f32x4.gt(x, f32x4.splat(0)));
}

/** ln(1 + x) for 0 ≤ x ≤ 1, which is all that softplus and its kin need; to 1.1 ulp. */
@inline
export function log1p(x: v128): v128 {
  const p = polynomial(LOG1P, 8, x);
  return fma(p, f32x4.mul(x, x), x);
}

/** The sine of x quarters of a turn, |x| ≤ 1/2; to 2 ulp. */
@inline
export function sinQuarter(x: v128): v128 {
  return f32x4.mul(polynomial(SIN, 4, f32x4.mul(x, x)), x);
}

/** The cosine of x quarters of a turn, |x| ≤ 1/2; to 2 ulp. */
@inline
export function cosQuarter(x: v128): v128 {
  return polynomial(COS, 5, f32x4.mul(x, x));
}

/** tanh x, to 2.5 ulp. */
@inline
export function tanh(x: v128): v128 {
  const e = expm1(f32x4.mul(f32x4.abs(x), f32x4.neg(c(TWO))));
  const magnitude = f32x4.div(e, f32x4.add(e, c(TWO)));
  return v128.bitselect(x, magnitude, c(SIGN));
}

/**
 * e^−|x|, from which the functions below and binary cross entropy are found without overflow on
 * either side of 0.
 */
@inline
export function decay(x: v128): v128 {
  return exp(f32x4.neg(f32x4.abs(x)));
}

/** 1 / (1 + e^−x), to 2.3 ulp, from x and decay(x). */
@inline
export function sigmoidOf(x: v128, decay: v128): v128 {
  const numerator = v128.bitselect(c(ONE), decay, f32x4.ge(x, f32x4.splat(0)));
  return f32x4.div(numerator, f32x4.add(c(ONE), decay));
}

/** 1 / (1 + e^−x), to 2.3 ulp. */
@inline
export function sigmoid(x: v128): v128 {
  return sigmoidOf(x, decay(x));
}

/** ln(1 + e^x), to 1.8 ulp. */
@inline
export function softplus(x: v128): v128 {
  return f32x4.add(f32x4.pmax(x, f32x4.splat(0)), log1p(decay(x)));
}

/** e^(−x²/2), to 1.5 ulp. */
@inline
export function gaussian(x: v128): v128 {
  const bounded = f32x4.pmin(f32x4.abs(x), c(GAUSSIAN_MOST));
  const square = f32x4.mul(bounded, bounded);
  // What rounding x² lost would be multiplied by up to 50 in the result.
  const lost = fma(bounded, bounded, f32x4.neg(square));
  const e = exp(f32x4.neg(f32x4.mul(square, c(HALF))));
  return fnma(f32x4.mul(e, lost), c(HALF), e);
}

/**
 * The normal distribution's Φ(x) = (1 + erf(x / √2)) / 2, to 5.6 ulp (3.4e-7 of its value), from x
 * and gaussian(x).
 *
 * Φ(−a) / e^(−a²/2) falls slowly from 1/2, and over s = 1 / (1 + 0.4 a) it is nearly a line: s
 * times a polynomial in s. Unlike 1 + erf, this keeps the lower tail's digits.
 */
@inline
export function normalOf(x: v128, gaussian: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), c(GAUSSIAN_MOST));
  const s = f32x4.div(c(ONE), fma(a, c(NORMAL_SCALE), c(ONE)));
  const p = polynomial(NORMAL, 9, s);
  const tail = f32x4.mul(f32x4.mul(p, s), gaussian);
  return v128.bitselect(tail, f32x4.sub(c(ONE), tail), f32x4.lt(x, f32x4.splat(0)));
}
