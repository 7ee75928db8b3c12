/**
 * A start that cannot succeed for a reason that the operator can mend. `message` is the one
 * sentence that they read on stderr.
 */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
}
