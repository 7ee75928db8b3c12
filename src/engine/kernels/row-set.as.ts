// A set of rows of a table, as a list of them and an index: for each row of the table, its place
// in the list if it is there. Neither is ever cleared. What stands in the index counts only if the
// list has the row at that place (Briggs & Torczon, "An efficient representation for sparse sets",
// 1993).

/** Adds a row to the set of `count` rows. Returns how many there are then. */
@inline
export function include(list: usize, index: usize, count: i32, row: i32): i32 {
  const entry = index + (<usize>row << 2);
  const place = load<u32>(entry);
  if (place < <u32>count && load<i32>(list + (<usize>place << 2)) == row) return count;
  store<i32>(list + (<usize>count << 2), row);
  store<i32>(entry, count);
  return count + 1;
}
