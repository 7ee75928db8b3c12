// Where the threads of a crew meet.
//
// Three words: how many have arrived, the generation (raised each time all have), and the abort
// word. The last to arrive starts the next generation; the others first spin on it, which costs a
// third of a microsecond when all come together, then sleep. The last one always notifies: counting
// the sleepers, so as to save the call, is what made an engine dead-lock.

const PASSED: i32 = 0;
const SLEPT: i32 = 1;
const ABORTED: i32 = 2;

/** Nanoseconds of one sleep; a sleeper looks at the abort word each time it wakes. */
const NAP: i64 = 100_000_000;

/**
 * Waits until `threads` threads have called it. `turns`: how often to look before sleeping (0:
 * sleep at once). Returns 0 if it passed while awake, 1 if it slept, 2 if the crew was aborted.
 */
export function barrier(at: usize, threads: i32, turns: i32): i32 {
  const generation = atomic.load<i32>(at, 4);
  if (atomic.add<i32>(at, 1) == threads - 1) {
    atomic.store<i32>(at, 0);
    atomic.add<i32>(at, 1, 4);
    atomic.notify(at + 4, -1);
    return atomic.load<i32>(at, 8) != 0 ? ABORTED : PASSED;
  }
  for (let turn = 0; turn < turns; turn++) {
    if (atomic.load<i32>(at, 4) != generation) return atomic.load<i32>(at, 8) != 0 ? ABORTED : PASSED;
  }
  while (atomic.load<i32>(at, 4) == generation) {
    if (atomic.load<i32>(at, 8) != 0) return ABORTED;
    atomic.wait<i32>(at + 4, generation, NAP);
  }
  return atomic.load<i32>(at, 8) != 0 ? ABORTED : SLEPT;
}
