/** Limits of a request for predictions, besides those of the wire. */
import { faulty, Problem, type Faulty } from "../contract/errors.ts";

/** How long a request may take a thread. */
export const STOP_AFTER_MS = 2000;

export function tooSlow(): Faulty {
  const message = `takes longer than ${STOP_AFTER_MS / 1000} seconds, the most: send fewer rows at a time`;
  return faulty("invalid_spec", [{ pointer: "", message }]);
}

/** @param bytes of a model @param most for all models of a thread */
export function tooLarge(bytes: number, most: number): Problem {
  const detail = `The model takes ${bytes} bytes to predict, and the models of a prediction thread may take ${most} together (RAPPEL_PREDICT_MAX_BYTES).`;
  return new Problem("too_large", detail);
}
