// Loops over elements, written once.
//
// The function that a loop applies comes as a type: a class with an inlined method and no fields,
// of which no object ever exists. AssemblyScript compiles a copy of the loop for each class with
// the method inlined, which it does not do for functions passed as values. `a` and `b` are the
// member's options, alike in all lanes; what a member has no use for costs nothing.
import { load, store } from "./vector.as";

/** y[i] = F.of(x[i]) */
@inline
export function map<F>(x: usize, y: usize, n: i32, a: f32 = 0, b: f32 = 0): void {
  const f = changetype<F>(0), va = f32x4.splat(a), vb = f32x4.splat(b);
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(y + i, f.of(load(x + i, true), va, vb), true);
  for (; i < all; i += 4) store(y + i, f.of(load(x + i, false), va, vb), false);
}

/** d[i] = g[i] × F.of(x[i]): the chain rule for an elementwise function whose derivative is F. */
@inline
export function chain<F>(x: usize, g: usize, d: usize, n: i32, a: f32 = 0, b: f32 = 0): void {
  const f = changetype<F>(0), va = f32x4.splat(a), vb = f32x4.splat(b);
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) store(d + i, f32x4.mul(load(g + i, true), f.of(load(x + i, true), va, vb)), true);
  for (; i < all; i += 4) store(d + i, f32x4.mul(load(g + i, false), f.of(load(x + i, false), va, vb)), false);
}

/**
 * terms[i] = L.term(x[i], y[i]) and, unless `gradient` is 0, gradient[i] = scale × L.slope(x[i],
 * y[i]): a loss of predictions x and targets y.
 */
@inline
export function compare<L>(
  x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32, a: f32 = 0, b: f32 = 0,
): void {
  const vs = f32x4.splat(scale), va = f32x4.splat(a), vb = f32x4.splat(b);
  const whole = (<usize>n & ~3) << 2, all = <usize>n << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) pair<L>(x + i, y + i, terms + i, gradient == 0 ? 0 : gradient + i, vs, va, vb, true);
  for (; i < all; i += 4) pair<L>(x + i, y + i, terms + i, gradient == 0 ? 0 : gradient + i, vs, va, vb, false);
}

@inline
function pair<L>(x: usize, y: usize, term: usize, gradient: usize, scale: v128, a: v128, b: v128, full: bool): void {
  const loss = changetype<L>(0), vx = load(x, full), vy = load(y, full);
  store(term, loss.term(vx, vy, a, b), full);
  if (gradient != 0) store(gradient, f32x4.mul(scale, loss.slope(vx, vy, a, b)), full);
}

/** Of L.term(x[i] − y[i]) and L.slope(x[i] − y[i]): a loss that is a function of the difference. */
@inline
export function differ<L>(x: usize, y: usize, terms: usize, gradient: usize, n: i32, scale: f32, a: f32 = 0): void {
  compare<Difference<L>>(x, y, terms, gradient, n, scale, a);
}

class Difference<L> {
  @inline term(x: v128, y: v128, a: v128, b: v128): v128 {
    return changetype<L>(0).term(f32x4.sub(x, y), a);
  }
  @inline slope(x: v128, y: v128, a: v128, b: v128): v128 {
    return changetype<L>(0).slope(f32x4.sub(x, y), a);
  }
}
