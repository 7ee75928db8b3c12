/*
 * The control words: how the main thread and the threads of a crew speak while training runs, in
 * the job's shared memory.
 *
 * The main thread writes requests; thread 0, the leader, reads them once a step, between the step's
 * two barriers. It then writes into ACTION what all threads do at the end of the step. Every thread
 * reads ACTION after the second barrier. So all threads agree, at no cost, and no thread waits for
 * the main thread.
 */

/**
 * Indexes of 32-bit words, counted from the control region. The barrier's three words come first,
 * on a cache line of their own.
 */
export const WORD = {
  barrier: 0,
  abort: 2,
  /** From main: bits of REQUEST. */
  request: 16,
  /** From main: 1 while the crew must wait at a step boundary. */
  suspended: 17,
  /** From main: how many turns a thread may spin at a barrier. */
  spin: 18,
  /** From the leader: bits of ACTION for the end of this step. */
  action: 32,
  /**
   * Entries of the log ring written (by the leader) and read (by main): serial numbers, see
   * `serialsApart`.
   */
  logWritten: 35,
  logRead: 48,
  /** 1 from the moment a snapshot is copied until it has been serialised. */
  snapshotBusy: 49,
  /**
   * From the leader: the VERDICT on what the detectors found, at the end of a step or of an
   * evaluation.
   */
  verdict: 36,
  /**
   * The number of slabs of validation rows that were evaluated. Every thread counts here, without a
   * lock, so the number may be inexact, and it may wrap. It only shows that the crew makes
   * progress.
   */
  evaluated: 50,
  /** Any thread sets it if it finds a weight that is not finite while it copies a snapshot. */
  notFinite: 64,
} as const;

/**
 * Indexes of doubles, counted from the control region, after the words. Everything that counts
 * steps is a double, since a small model makes 2^31 steps in hours. An aligned double is read and
 * written in one piece.
 */
export const DOUBLE = {
  /** Mean loss of the last log interval. */
  trainLoss: 40,
  /**
   * The result of the evaluation for early stopping and for keeping the best. The leader writes it,
   * all threads read it.
   */
  monitored: 41,
  /**
   * The value of the metric that the schedule follows. The leader writes it, all threads read it.
   */
  followed: 42,
  /** The metric that pruning looks at. The leader writes it, all threads read it. */
  pruned: 43,
  /** Steps finished, epochs finished. */
  step: 44,
  epoch: 45,
} as const;

export const CONTROL_BYTES = 512;

export const REQUEST = { stop: 1, snapshot: 2, shutdownSnapshot: 4 } as const;

/** In ascending order of priority. */
export const VERDICT = { goOn: 0, end: 1, fail: 2 } as const;

export const ACTION = { ...REQUEST, diverged: 8 } as const;

/**
 * The log ring: entries of four doubles (step, train loss, learning rate, gradient norm; NaN:
 * none). A power of two.
 */
export const LOG_ENTRIES = 4096;
export const LOG_BYTES = LOG_ENTRIES * 4 * 8;

/**
 * The first serial number of an entry. Threads sleep on these numbers, so they must be words, and a
 * word wraps after 2^32 entries. They begin just below 2^31. So every longer run passes the number
 * at which a fault in the wrapping would show.
 */
export const FIRST_SERIAL = 0x7fffffff - 100;

/** How far `later` is after `earlier`. */
export const serialsApart = (later: number, earlier: number): number => (later - earlier) | 0;

/** Where the entry lies in the ring. */
export const logIndex = (serial: number): number => serial & (LOG_ENTRIES - 1);
