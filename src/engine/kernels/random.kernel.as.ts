// Random numbers in bulk: what src/engine/kernels/random.ts explains and defines, for whole ranges
// of a tensor. Every number depends on its element's index alone, so that ranges may be cut
// anywhere.
//
// One Philox block serves four elements. A range that begins or ends inside a block draws the whole
// block and uses part of it.
import { cosQuarter, log, sinQuarter } from "./math.as";
import { philox, philoxOfFour, words0, words1, words2, words3 } from "./philox.as";
import { fma } from "./vector.as";

// The purposes of random.ts.
const INITIALIZE: u32 = 1, SHUFFLE: u32 = 2, DROPOUT: u32 = 3, GRADIENT_NOISE: u32 = 6;

@inline
function word(words: v128, i: i32): u32 {
  if (i == 0) return i32x4.extract_lane(words, 0);
  if (i == 1) return i32x4.extract_lane(words, 1);
  if (i == 2) return i32x4.extract_lane(words, 2);
  return i32x4.extract_lane(words, 3);
}

/** Elements begin..end of the tensor at `address` become uniform over [−bound, bound). */
export function fill_uniform(address: usize, begin: i32, end: i32, seedLow: u32, seedHigh: u32, stream: u32, bound: f64): void {
  for (let i = begin; i < end; ) {
    const words = philox(<u32>i >> 2, 0, stream, INITIALIZE, seedLow, seedHigh);
    const stop = min((i | 3) + 1, end);
    for (; i < stop; i++) {
      const unit = <f64>(word(words, i & 3) >> 8) * (1.0 / 16777216.0);
      store<f32>(address + (<usize>i << 2), <f32>(bound * (2 * unit - 1)));
    }
  }
}

/** Elements begin..end of the tensor at `address` become normal with mean 0. */
export function fill_normal(address: usize, begin: i32, end: i32, seedLow: u32, seedHigh: u32, stream: u32, deviation: f64): void {
  for (let i = begin; i < end; ) {
    const words = philox(<u32>i >> 2, 0, stream, INITIALIZE, seedLow, seedHigh);
    const stop = min((i | 3) + 1, end);
    for (; i < stop; i++) {
      const pair = i & 2;
      const radius = sqrt<f64>(-2 * NativeMath.log((<f64>word(words, pair) + 1) * (1.0 / 4294967296.0)));
      const turn = <f64>word(words, pair + 1) * (1.0 / 4294967296.0);
      const value = radius * NativeMath.cos(2 * NativeMath.PI * ((i & 1) == 0 ? turn : turn - 0.25));
      store<f32>(address + (<usize>i << 2), <f32>(deviation * value));
    }
  }
}

/**
 * Fisher and Yates' shuffle of `count` int32 in place; a function of what stands there, the seed
 * and the epoch.
 */
export function shuffle(address: usize, count: i32, seedLow: u32, seedHigh: u32, epoch: u32): void {
  // Four blocks serve eight places: a block's first two words the even one, the others the odd one.
  for (let first = (count - 1) & ~7; first >= 0; first -= 8) {
    philoxOfFour(<u32>first >> 1, 0, epoch, SHUFFLE, seedLow, seedHigh);
    const even = i32x4.add(i32x4.splat(first), i32x4(0, 2, 4, 6)), odd = i32x4.add(i32x4.splat(first), i32x4(1, 3, 5, 7));
    const toEven = places(words0, words1, even), toOdd = places(words2, words3, odd);
    swap(address, first + 7, count, i32x4.extract_lane(toOdd, 3));
    swap(address, first + 6, count, i32x4.extract_lane(toEven, 3));
    swap(address, first + 5, count, i32x4.extract_lane(toOdd, 2));
    swap(address, first + 4, count, i32x4.extract_lane(toEven, 2));
    swap(address, first + 3, count, i32x4.extract_lane(toOdd, 1));
    swap(address, first + 2, count, i32x4.extract_lane(toEven, 1));
    swap(address, first + 1, count, i32x4.extract_lane(toOdd, 0));
    swap(address, first, count, i32x4.extract_lane(toEven, 0));
  }
}

/** For each of four places i one of 0..i, from two words: a fraction with all bits of a double. */
@inline
function places(high: v128, low: v128, i: v128): v128 {
  const a = i32x4.shr_u(high, 5), b = i32x4.shr_u(low, 6), count = i32x4.add(i, i32x4.splat(1));
  const left = i32x4.trunc_sat_f64x2_u_zero(placesOfTwo(a, b, count));
  const right = i32x4.trunc_sat_f64x2_u_zero(placesOfTwo(upperTwo(a), upperTwo(b), upperTwo(count)));
  return i64x2.shuffle(left, right, 0, 2);
}

@inline
function placesOfTwo(a: v128, b: v128, count: v128): v128 {
  const high = f64x2.mul(f64x2.convert_low_i32x4_u(a), f64x2.splat(67108864.0));
  const unit = f64x2.mul(f64x2.add(high, f64x2.convert_low_i32x4_u(b)), f64x2.splat(1.0 / 9007199254740992.0));
  return f64x2.mul(unit, f64x2.convert_low_i32x4_u(count));
}

@inline
function upperTwo(words: v128): v128 {
  return i64x2.shuffle(words, words, 1, 1);
}

/** Exchanges two of `count` int32, unless there is no place `i`. Place 0 stays where it is. */
@inline
function swap(address: usize, i: i32, count: i32, other: i32): void {
  if (i >= count) return;
  const one = address + (<usize>i << 2), to = address + (<usize>other << 2);
  const value = load<i32>(one);
  store<i32>(one, load<i32>(to));
  store<i32>(to, value);
}

/**
 * Elements begin..end of y become those of x, each zeroed with probability p and else divided by 1
 * − p. `x` and `y` are the first elements of whole batch arrays. Forward on values and backward on
 * gradients: both draw the same mask.
 */
export function dropout(
  x: usize, y: usize, begin: i32, end: i32, seedLow: u32, seedHigh: u32, layer: u32, step: u32, p: f64,
): void {
  const scale = f32x4.splat(<f32>(1 / (1 - p)));
  // Kept are words of at least p × 2^32; where that is 2^32, none is.
  const edge = p * 4294967296.0;
  const all = edge >= 4294967296.0;
  const threshold = i32x4.splat(all ? 0 : <u32>ceil<f64>(edge));
  const allowed = i32x4.splat(all ? 0 : -1);
  for (let i = begin; i < end; ) {
    const at = <usize>i << 2;
    if ((i & 3) == 0 && i + 16 <= end) {
      philoxOfFour(<u32>i >> 2, step, layer, DROPOUT, seedLow, seedHigh);
      const kept0 = i32x4.ge_u(words0, threshold), kept1 = i32x4.ge_u(words1, threshold);
      const kept2 = i32x4.ge_u(words2, threshold), kept3 = i32x4.ge_u(words3, threshold);
      // From vectors of like words to the words of each block.
      const low01 = i32x4.shuffle(kept0, kept1, 0, 4, 1, 5), low23 = i32x4.shuffle(kept2, kept3, 0, 4, 1, 5);
      const high01 = i32x4.shuffle(kept0, kept1, 2, 6, 3, 7), high23 = i32x4.shuffle(kept2, kept3, 2, 6, 3, 7);
      keep(x + at, y + at, scale, v128.and(i64x2.shuffle(low01, low23, 0, 2), allowed));
      keep(x + at + 16, y + at + 16, scale, v128.and(i64x2.shuffle(low01, low23, 1, 3), allowed));
      keep(x + at + 32, y + at + 32, scale, v128.and(i64x2.shuffle(high01, high23, 0, 2), allowed));
      keep(x + at + 48, y + at + 48, scale, v128.and(i64x2.shuffle(high01, high23, 1, 3), allowed));
      i += 16;
      continue;
    }
    const words = philox(<u32>i >> 2, step, layer, DROPOUT, seedLow, seedHigh);
    const kept = v128.and(i32x4.ge_u(words, threshold), allowed);
    if ((i & 3) == 0 && i + 4 <= end) {
      keep(x + at, y + at, scale, kept);
      i += 4;
    } else {
      const value = v128.and(f32x4.mul(v128.load32_splat(x + at), scale), v128.splat<i32>(<i32>word(kept, i & 3)));
      v128.store32_lane(y + at, value, 0);
      i++;
    }
  }
}

/** Four elements, each multiplied by `scale` where `kept` has ones and else 0. */
@inline
function keep(x: usize, y: usize, scale: v128, kept: v128): void {
  v128.store(y, v128.and(kept, f32x4.mul(v128.load(x), scale)));
}

/**
 * Adds normal numbers with mean 0 to elements begin..end of the tensor at `address`; `begin` is a
 * multiple of 4.
 *
 * Each block of words makes four of them (Box & Muller 1958): its first two words a radius each,
 * the others an angle each, and radius and angle a cosine and a sine. In float32 and for four
 * blocks at a time: this is done to every gradient of every step.
 */
export function add_normal(
  address: usize, begin: i32, end: i32, seedLow: u32, seedHigh: u32, stream: u32, step: u32, deviation: f32,
): void {
  const scale = f32x4.splat(deviation);
  for (let i = begin; i < end; i += 16) {
    philoxOfFour(<u32>i >> 2, step, stream, GRADIENT_NOISE, seedLow, seedHigh);
    const radius0 = radius(words0), radius1 = radius(words1), angle0 = angle(words2), angle1 = angle(words3);
    const cos0 = cosQuarter(angle0), sin0 = sinQuarter(angle0), cos1 = cosQuarter(angle1), sin1 = sinQuarter(angle1);
    // A quarter of a turn on, the cosine is minus what the sine was, and the sine what the cosine
    // was.
    const x0 = f32x4.mul(radius0, turned(words2, cos0, f32x4.neg(sin0))), y0 = f32x4.mul(radius0, turned(words2, sin0, cos0));
    const x1 = f32x4.mul(radius1, turned(words3, cos1, f32x4.neg(sin1))), y1 = f32x4.mul(radius1, turned(words3, sin1, cos1));
    // From vectors of like numbers to the numbers of each block.
    const first01 = i32x4.shuffle(x0, y0, 0, 4, 1, 5), second01 = i32x4.shuffle(x1, y1, 0, 4, 1, 5);
    const first23 = i32x4.shuffle(x0, y0, 2, 6, 3, 7), second23 = i32x4.shuffle(x1, y1, 2, 6, 3, 7);
    const at = address + (<usize>i << 2);
    addTo(at, end - i, scale, i64x2.shuffle(first01, second01, 0, 2));
    addTo(at + 16, end - i - 4, scale, i64x2.shuffle(first01, second01, 1, 3));
    addTo(at + 32, end - i - 8, scale, i64x2.shuffle(first23, second23, 0, 2));
    addTo(at + 48, end - i - 12, scale, i64x2.shuffle(first23, second23, 1, 3));
  }
}

/** Adds scale × numbers to the floats at `at`, of which there are `left` before the range ends. */
@inline
function addTo(at: usize, left: i32, scale: v128, numbers: v128): void {
  if (left >= 4) v128.store(at, fma(scale, numbers, v128.load(at)));
  else for (; left > 0; left--, at += 4) {
    v128.store32_lane(at, fma(scale, numbers, v128.load32_zero(at)), 0);
    numbers = i32x4.shuffle(numbers, numbers, 1, 2, 3, 0);
  }
}

/** √(−2 ln u), where u is a word as a part of 1. It is never 0, whose logarithm is infinite. */
@inline
function radius(word: v128): v128 {
  const unit = fma(f32x4.convert_i32x4_u(word), f32x4.splat(<f32>(1.0 / 4294967296.0)), f32x4.splat(<f32>(0.5 / 4294967296.0)));
  return f32x4.sqrt(f32x4.mul(log(unit), f32x4.splat(-2)));
}

/**
 * In quarters of a turn, within ± 1/2 around the middle of the quarter that the word's upper two
 * bits choose.
 */
@inline
function angle(word: v128): v128 {
  const within = i32x4.sub(v128.and(word, i32x4.splat(0x3fffffff)), i32x4.splat(0x20000000));
  return f32x4.mul(f32x4.convert_i32x4_s(within), f32x4.splat(<f32>(1.0 / 1073741824.0)));
}

/**
 * In an odd quarter the other, and in the last two the opposite; the word's upper two bits choose
 * the quarter.
 */
@inline
function turned(word: v128, even: v128, odd: v128): v128 {
  const isOdd = i32x4.shr_s(i32x4.shl(word, 1), 31);
  return v128.xor(v128.bitselect(odd, even, isOdd), v128.and(word, i32x4.splat(0x80000000)));
}
