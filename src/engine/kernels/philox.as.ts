// The block function of random.ts: Philox4x32 with ten rounds.

@inline
export function philox(c0: u32, c1: u32, c2: u32, c3: u32, key0: u32, key1: u32): v128 {
  for (let round = 0; round < 10; round++) {
    const product0 = <u64>0xd2511f53 * <u64>c0;
    const product1 = <u64>0xcd9e8d57 * <u64>c2;
    c0 = <u32>(product1 >> 32) ^ c1 ^ key0;
    c1 = <u32>product1;
    c2 = <u32>(product0 >> 32) ^ c3 ^ key1;
    c3 = <u32>product0;
    key0 += 0x9e3779b9;
    key1 += 0xbb67ae85;
  }
  return i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(c0), 1, c1), 2, c2), 3, c3);
}

// The words of four blocks at once: number b's are lane b of each. Globals belong to a module's
// instance, and every thread has its own.
export let words0: v128 = i32x4.splat(0);
export let words1: v128 = i32x4.splat(0);
export let words2: v128 = i32x4.splat(0);
export let words3: v128 = i32x4.splat(0);

/** The blocks (c0, c1, c2, c3) to (c0 + 3, c1, c2, c3). */
@inline
export function philoxOfFour(c0: u32, c1: u32, c2: u32, c3: u32, key0: u32, key1: u32): void {
  rounds(i32x4.add(i32x4.splat(c0), i32x4(0, 1, 2, 3)), c1, c2, c3, i32x4.splat(key0), i32x4.splat(key1));
}

/** The block (c0, c1, c2, c3) under four keys. */
@inline
export function philoxOfLanes(c0: u32, c1: u32, c2: u32, c3: u32, key0: v128, key1: v128): void {
  rounds(i32x4.splat(c0), c1, c2, c3, key0, key1);
}

@inline
function rounds(w0: v128, c1: u32, c2: u32, c3: u32, key0: v128, key1: v128): void {
  const m0 = i32x4.splat(0xd2511f53), m1 = i32x4.splat(0xcd9e8d57);
  const weyl0 = i32x4.splat(0x9e3779b9), weyl1 = i32x4.splat(0xbb67ae85);
  let w1 = i32x4.splat(c1), w2 = i32x4.splat(c2), w3 = i32x4.splat(c3);
  for (let round = 0; round < 10; round++) {
    const low0 = i64x2.extmul_low_i32x4_u(m0, w0), high0 = i64x2.extmul_high_i32x4_u(m0, w0);
    const low1 = i64x2.extmul_low_i32x4_u(m1, w2), high1 = i64x2.extmul_high_i32x4_u(m1, w2);
    w0 = v128.xor(v128.xor(i32x4.shuffle(low1, high1, 1, 3, 5, 7), w1), key0);
    w2 = v128.xor(v128.xor(i32x4.shuffle(low0, high0, 1, 3, 5, 7), w3), key1);
    w1 = i32x4.shuffle(low1, high1, 0, 2, 4, 6);
    w3 = i32x4.shuffle(low0, high0, 0, 2, 4, 6);
    key0 = i32x4.add(key0, weyl0);
    key1 = i32x4.add(key1, weyl1);
  }
  words0 = w0;
  words1 = w1;
  words2 = w2;
  words3 = w3;
}
