import type { ProblemDocument } from "../contract/wire/problem.ts";

/** The service answered with an error. */
export class RequestRefused extends Error {
  readonly status: number;
  /** Null if the answer came from a proxy instead of the service. */
  readonly problem: ProblemDocument | null;

  constructor(message: string, status: number, problem: ProblemDocument | null) {
    super(message);
    this.status = status;
    this.problem = problem;
  }

  static async of(response: Response, what: string): Promise<RequestRefused> {
    const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json") ?? false;
    const problem = isProblem ? ((await response.json()) as ProblemDocument) : null;
    // The detail says "this line" and not which.
    const place = problem?.line === undefined ? "" : `Line ${problem.line}: `;
    const message = problem === null ? `${what} was answered ${response.status}.` : `${place}${problem.detail}`;
    return new RequestRefused(message, response.status, problem);
  }
}

/** There was no answer. */
export class ServiceUnreachable extends Error {
  constructor(url: string, cause: unknown) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : (cause as Error);
    super(`No service answers at ${url}: ${reason.message}`, { cause });
  }
}
