/**
 * A start that cannot succeed, for a reason the operator can act on: `message` is the one sentence
 * they read on stderr.
 */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
}
