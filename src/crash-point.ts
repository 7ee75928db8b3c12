/**
 * Named points at which a test can kill the process: `RAPPEL_CRASH_AT=before-commit` the first
 * time it gets there, `before-commit:3` the third time. They work only under `NODE_ENV=test`.
 */
export type CrashPoint =
  | "between-files"
  | "after-retire"
  | "after-unrecord"
  | "after-record"
  | "after-add"
  | "after-claim"
  | "after-holding"
  | "mid-chunk"
  | "before-commit"
  | "after-commit"
  | "before-rewind"
  | "after-rewind"
  | "before-final-commit"
  | "after-final-commit"
  | "mid-prediction"
  | "after-keep-result"
  | "before-forward"
  | "after-forward"
  | "during-cancel"
  | "during-release"
  | "archive-written"
  | "archive-synced"
  | "archive-verified"
  | "archive-pointed"
  | "archive-moved"
  | "archive-buried"
  | "archive-quarantined";

const [chosen, nth = "1"] = (process.env.NODE_ENV === "test" ? (process.env.RAPPEL_CRASH_AT ?? "") : "").split(":");
let passes = Number(nth);

export function crashPoint(name: CrashPoint): void {
  if (name === chosen && --passes === 0) process.kill(process.pid, "SIGKILL");
}
