/**
 * Named points at which a test may have the process die: `RAPPEL_CRASH_AT=before-commit` at the
 * first time it gets there, `before-commit:3` at the third. Only under `NODE_ENV=test`.
 */
export type CrashPoint =
  | "between-files"
  | "after-retire"
  | "after-unrecord"
  | "after-record"
  | "after-add"
  | "after-acquire"
  | "mid-chunk"
  | "before-commit"
  | "after-commit"
  | "before-rewind"
  | "after-rewind"
  | "after-final-commit"
  | "before-forward"
  | "after-forward"
  | "during-cancel"
  | "during-release";

const [chosen, nth = "1"] = (process.env.NODE_ENV === "test" ? (process.env.RAPPEL_CRASH_AT ?? "") : "").split(":");
let passes = Number(nth);

export function crashPoint(name: CrashPoint): void {
  if (name === chosen && --passes === 0) process.kill(process.pid, "SIGKILL");
}
