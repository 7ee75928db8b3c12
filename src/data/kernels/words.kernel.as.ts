// Tables of words: which number a word has. A table is an array of slots, a power of two of them,
// of which half stay empty. A slot holds
//
//   8 bytes  the word itself if it has at most 8 bytes, else its hash
//   4 bytes  the address of a longer word
//   2 bytes  its length, which is 0 in an empty slot
//   2 bytes  its number

const SLOT_BYTES = 16;
const SHORT_BYTES: usize = 8;

/** The first bytes of a word, up to 8. The bytes after it are read too. */
// @ts-ignore: decorator
@inline
function part(at: usize, left: usize): u64 {
  const bytes = load<u64>(at);
  return left >= 8 ? bytes : bytes & ((<u64>1 << (left << 3)) - 1);
}

// @ts-ignore: decorator
@inline
function mixed(hash: u64): u64 {
  const product = hash * 0x9e3779b97f4a7c15;
  return product ^ (product >> 32);
}

/** What the slot of a word begins with. */
// @ts-ignore: decorator
@inline
function keyOf(begin: usize, end: usize): u64 {
  const key = part(begin, end - begin);
  return end - begin <= SHORT_BYTES ? key : hashOf(key, begin, end);
}

function hashOf(key: u64, begin: usize, end: usize): u64 {
  for (let at = begin + 8; at < end; at += 8) key = mixed(key) ^ part(at, end - at);
  return key;
}

function equals(a: usize, b: usize, bytes: usize): bool {
  for (let i: usize = 0; i < bytes; i += 8) if (part(a + i, bytes - i) != part(b + i, bytes - i)) return false;
  return true;
}

/** The slot of a word, or the empty one where it belongs. */
// @ts-ignore: decorator
@inline
function slotOf(table: usize, slots: i32, key: u64, begin: usize, bytes: usize): usize {
  const mask = <u32>slots - 1;
  let at = <u32>mixed(key + bytes) & mask;
  let slot = table + <usize>at * SLOT_BYTES;
  for (let length = <usize>load<u16>(slot, 12); length != 0; length = <usize>load<u16>(slot, 12)) {
    if (load<u64>(slot) == key && length == bytes)
      if (bytes <= SHORT_BYTES || equals(load<u32>(slot, 8), begin, bytes)) break;
    at = (at + 1) & mask;
    slot = table + <usize>at * SLOT_BYTES;
  }
  return slot;
}

/** The number of a word; -1 if the table does not have it. */
// @ts-ignore: decorator
@inline
export function word(table: usize, slots: i32, begin: usize, end: usize): i32 {
  const slot = slotOf(table, slots, keyOf(begin, end), begin, end - begin);
  return load<u16>(slot, 12) == 0 ? -1 : <i32>load<u16>(slot, 14);
}

export function words_clear(table: usize, slots: i32): void {
  memory.fill(table, 0, <usize>slots * SLOT_BYTES);
}

/** Adds a word, which must stay where it is. */
export function words_add(table: usize, slots: i32, begin: usize, end: usize, number: i32): void {
  const key = keyOf(begin, end);
  const slot = slotOf(table, slots, key, begin, end - begin);
  store<u64>(slot, key, 0);
  store<u32>(slot, <u32>begin, 8);
  store<u16>(slot, <u16>(end - begin), 12);
  store<u16>(slot, <u16>number, 14);
}

/** Copies all words of a table to a larger one. */
export function words_move(table: usize, slots: i32, to: usize, toSlots: i32): void {
  words_clear(to, toSlots);
  for (let i = 0; i < slots; i++) {
    const slot = table + <usize>i * SLOT_BYTES;
    const bytes = <usize>load<u16>(slot, 12);
    if (bytes != 0) memory.copy(slotOf(to, toSlots, load<u64>(slot), load<u32>(slot, 8), bytes), slot, SLOT_BYTES);
  }
}

/**
 * Writes the number of each cell as 16 bits to `out`; an empty cell has the number 0xffff. Gives
 * the first row whose cell is in no table, or `rows`. `cells` is the column's cell of row 0, and
 * `stride` the bytes from one row to the next.
 */
export function words_of(table: usize, slots: i32, cells: usize, stride: i32, from: i32, rows: i32, out: usize): i32 {
  for (let row = from; row < rows; row++) {
    const cell = cells + <usize>row * stride;
    const begin = <usize>load<u32>(cell, 0);
    const end = <usize>load<u32>(cell, 4);
    let number = 0xffff;
    if (begin != end) {
      number = word(table, slots, begin, end);
      if (number < 0) return row;
    }
    store<u16>(out + (<usize>row << 1), number);
  }
  return rows;
}
