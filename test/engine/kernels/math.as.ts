// The inlined functions of the kernels as functions over arrays, for math.test.ts.
import { map } from "../../../src/engine/kernels/elementwise.as";
import * as math from "../../../src/engine/kernels/math.as";

class Exp {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.exp(x); }
}
class Expm1 {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.expm1(x); }
}
class Log {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.log(x); }
}
class Log1p {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.log1p(x); }
}
class SinQuarter {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.sinQuarter(x); }
}
class CosQuarter {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.cosQuarter(x); }
}
class Tanh {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.tanh(x); }
}
class Sigmoid {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.sigmoid(x); }
}
class Softplus {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.softplus(x); }
}
class Gaussian {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.gaussian(x); }
}
class Normal {
  @inline of(x: v128, a: v128, b: v128): v128 { return math.normalOf(x, math.gaussian(x)); }
}

export function exp(x: usize, y: usize, n: i32): void { map<Exp>(x, y, n); }
export function expm1(x: usize, y: usize, n: i32): void { map<Expm1>(x, y, n); }
export function log(x: usize, y: usize, n: i32): void { map<Log>(x, y, n); }
export function log1p(x: usize, y: usize, n: i32): void { map<Log1p>(x, y, n); }
export function sinQuarter(x: usize, y: usize, n: i32): void { map<SinQuarter>(x, y, n); }
export function cosQuarter(x: usize, y: usize, n: i32): void { map<CosQuarter>(x, y, n); }
export function tanh(x: usize, y: usize, n: i32): void { map<Tanh>(x, y, n); }
export function sigmoid(x: usize, y: usize, n: i32): void { map<Sigmoid>(x, y, n); }
export function softplus(x: usize, y: usize, n: i32): void { map<Softplus>(x, y, n); }
export function gaussian(x: usize, y: usize, n: i32): void { map<Gaussian>(x, y, n); }
export function normal(x: usize, y: usize, n: i32): void { map<Normal>(x, y, n); }
