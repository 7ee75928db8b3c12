/** Limits of a request for predictions, besides those of the wire. */
import { faulty, type Faulty } from "../contract/errors.ts";

/** How long a request may take a thread. */
export const STOP_AFTER_MS = 2000;

export function tooSlow(): Faulty {
  const message = `takes longer than ${STOP_AFTER_MS / 1000} seconds, the most: send fewer rows at a time`;
  return faulty("invalid_spec", [{ pointer: "", message }]);
}
