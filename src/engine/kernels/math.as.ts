// Elementary functions of four floats at once.
//
// Why our own: `Math`'s functions differ between versions of V8 in their last bits, and WebAssembly has none. Here every lane is computed by the same
// additions, multiplications and fused multiply-adds whatever stands in the other lanes, so a result depends on its argument alone.
//
// How: an argument is brought into a short interval around 0 (by powers of two for exp and log), where a polynomial is as good as float32 can
// tell. The polynomials are minimax fits (Lawson's iteration, in 40 digits; then coefficient after coefficient rounded to float32, lowest first, and the
// rest fitted again). The error given beside each function is an upper bound of what was found against double precision at 20 million
// arguments of every magnitude, in units in the last place (ulp); test/engine/math.test.ts holds it. NaN gives NaN everywhere.
import { fma, fnma } from "./vector.as";

@inline
function c(value: f32): v128 {
  return f32x4.splat(value);
}

/** x within low..high; NaN stays NaN (pmin and pmax return their first operand if the comparison fails). */
@inline
export function clamp(x: v128, low: v128, high: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, low), high);
}

// Added to a float below 2^22 in magnitude, 1.5 × 2^23 leaves no bits for a fraction: the sum's low bits are the nearest integer.
// @ts-ignore: decorator
@inline const ROUND: f32 = 12582912.0;
// @ts-ignore: decorator
@inline const LOG2E: f32 = 1.44269504;
// ln 2 as the sum of two floats.
// @ts-ignore: decorator
@inline const LN2: f32 = 0.693147182;
// @ts-ignore: decorator
@inline const LN2_LOW: f32 = -1.90465421e-9;

/** ROUND + n, where n is the integer nearest to x / ln 2. */
@inline
function multiple(x: v128): v128 {
  return fma(x, c(LOG2E), c(ROUND));
}

/** e^r − 1, where x = n ln 2 + r and |r| ≤ ln 2 / 2. */
@inline
function reduced(x: v128, rounded: v128): v128 {
  const n = f32x4.sub(rounded, c(ROUND));
  const r = fnma(n, c(LN2_LOW), fnma(n, c(LN2), x));
  let p = fma(c(0.0013870657), r, c(0.008366262));
  p = fma(p, r, c(0.041667435));
  p = fma(p, r, c(0.16666546));
  p = fma(p, r, c(0.49999997));
  return fma(p, f32x4.mul(r, r), r);
}

/** 2^n as a float, for n in −126..127. */
@inline
function power(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** e^x, to 1.1 ulp, subnormal results included; 0 below −104, infinity above 88.73. */
@inline
export function exp(x: v128): v128 {
  const bounded = clamp(x, c(-105.0), c(89.0));
  const rounded = multiple(bounded);
  const n = i32x4.sub(rounded, c(ROUND));
  // In two halves: 2^128 and 2^−150 are no floats of their own.
  const half = i32x4.shr_s(n, 1);
  const near = f32x4.add(reduced(bounded, rounded), c(1.0));
  return f32x4.mul(f32x4.mul(near, power(half)), power(i32x4.sub(n, half)));
}

/** e^x − 1 for x ≤ 0, to 1.0 ulp. */
@inline
export function expm1(x: v128): v128 {
  const bounded = f32x4.pmax(x, c(-30.0));
  const rounded = multiple(bounded);
  const scale = power(i32x4.sub(rounded, c(ROUND)));
  return fma(reduced(bounded, rounded), scale, f32x4.sub(scale, c(1.0)));
}

/** ln x, to 1.0 ulp; −infinity at 0, NaN below. */
@inline
export function log(x: v128): v128 {
  const subnormal = f32x4.lt(x, c(1.17549435e-38));
  const normal = v128.bitselect(f32x4.mul(x, c(8388608.0)), x, subnormal);
  // x = 2^e (1 + f) with 1 + f in 2/3..4/3.
  const e = v128.and(i32x4.sub(normal, c(0.6666667)), i32x4.splat(0xff800000));
  const f = f32x4.sub(i32x4.sub(normal, e), c(1.0));
  const exponent = f32x4.add(f32x4.convert_i32x4_s(i32x4.shr_s(e, 23)), v128.and(c(-23.0), subnormal));
  let p = fma(c(-0.1288209), f, c(0.13988008));
  p = fma(p, f, c(-0.12186582));
  p = fma(p, f, c(0.14005138));
  p = fma(p, f, c(-0.1668031));
  p = fma(p, f, c(0.20010452));
  p = fma(p, f, c(-0.24999802));
  p = fma(p, f, c(0.33333215));
  p = fma(p, f, c(-0.5));
  const finite = fma(exponent, c(LN2), fma(p, f32x4.mul(f, f), f));
  const positive = v128.bitselect(finite, x, f32x4.lt(x, c(Infinity)));
  return v128.bitselect(positive, f32x4.sub(f32x4.sqrt(x), c(Infinity)), f32x4.gt(x, c(0.0)));
}

/** ln(1 + x) for 0 ≤ x ≤ 1, which is all that softplus and its kin need; to 1.1 ulp. */
@inline
export function log1p(x: v128): v128 {
  let p = fma(c(-0.0033065395), x, c(0.020150334));
  p = fma(p, x, c(-0.057561528));
  p = fma(p, x, c(0.10670013));
  p = fma(p, x, c(-0.15349098));
  p = fma(p, x, c(0.19693193));
  p = fma(p, x, c(-0.24958156));
  p = fma(p, x, c(0.3333047));
  p = fma(p, x, c(-0.4999993));
  return fma(p, f32x4.mul(x, x), x);
}

/** tanh x, to 2.5 ulp. */
@inline
export function tanh(x: v128): v128 {
  const e = expm1(f32x4.mul(f32x4.abs(x), c(-2.0)));
  const magnitude = f32x4.div(e, f32x4.add(e, c(2.0)));
  return v128.bitselect(x, magnitude, i32x4.splat(0x80000000));
}

/** e^−|x|, from which `sigmoidOf` and `softplusOf` find their value without overflow, on whichever side of 0 x lies. */
@inline
export function decay(x: v128): v128 {
  return exp(f32x4.neg(f32x4.abs(x)));
}

/** 1 / (1 + e^−x), to 2.3 ulp, from x and decay(x). */
@inline
export function sigmoidOf(x: v128, decay: v128): v128 {
  const numerator = v128.bitselect(c(1.0), decay, f32x4.ge(x, c(0.0)));
  return f32x4.div(numerator, f32x4.add(c(1.0), decay));
}

/** 1 / (1 + e^−x), to 2.3 ulp. */
@inline
export function sigmoid(x: v128): v128 {
  return sigmoidOf(x, decay(x));
}

/** ln(1 + e^x), to 1.8 ulp. */
@inline
export function softplus(x: v128): v128 {
  return f32x4.add(f32x4.pmax(x, c(0.0)), log1p(decay(x)));
}

/** e^(−x²/2), to 1.5 ulp. */
@inline
export function gaussian(x: v128): v128 {
  const bounded = f32x4.pmin(f32x4.abs(x), c(15.0));
  const square = f32x4.mul(bounded, bounded);
  // What rounding x² lost would be multiplied by up to 50 in the result.
  const lost = fma(bounded, bounded, f32x4.neg(square));
  const e = exp(f32x4.mul(square, c(-0.5)));
  return fma(f32x4.mul(e, lost), c(-0.5), e);
}

/**
 * The normal distribution's Φ(x) = (1 + erf(x / √2)) / 2, to 5.6 ulp (3.4e-7 of its value), from x and gaussian(x).
 *
 * Φ(−a) / e^(−a²/2) falls slowly from 1/2, and over s = 1 / (1 + 0.4 a) it is nearly a line: s times a polynomial in s. Unlike 1 + erf, this
 * keeps the lower tail's digits.
 */
@inline
export function normalOf(x: v128, gaussian: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), c(15.0));
  const s = f32x4.div(c(1.0), fma(a, c(0.4), c(1.0)));
  let p = fma(c(0.03229771), s, c(-0.17725028));
  p = fma(p, s, c(0.38327974));
  p = fma(p, s, c(-0.3752402));
  p = fma(p, s, c(0.120400116));
  p = fma(p, s, c(-0.027272249));
  p = fma(p, s, c(0.091462724));
  p = fma(p, s, c(0.13311693));
  p = fma(p, s, c(0.15962972));
  p = fma(p, s, c(0.1595758));
  const tail = f32x4.mul(f32x4.mul(p, s), gaussian);
  return v128.bitselect(tail, f32x4.sub(c(1.0), tail), f32x4.lt(x, c(0.0)));
}
