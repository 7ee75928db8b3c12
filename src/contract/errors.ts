/** The one table of error codes, and the error that becomes a problem document (RFC 9457). */
import { z } from "zod";
import { MAX_FAULTS, type Fault } from "./resolve/faults.ts";

export const errors = {
  malformed_json: { status: 400, title: "Malformed JSON" },
  invalid_parameter: { status: 400, title: "Invalid parameter" },
  unauthorized: { status: 401, title: "Unauthorized" },
  foreign_origin: { status: 403, title: "Foreign origin" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  request_timeout: { status: 408, title: "Request timeout" },
  wrong_status: { status: 409, title: "Wrong status" },
  dataset_in_use: { status: 409, title: "Dataset in use" },
  weights_in_use: { status: 409, title: "Weights in use" },
  not_stackable: { status: 409, title: "Models do not stack" },
  job_in_use: { status: 409, title: "Job in use" },
  idempotency_in_progress: { status: 409, title: "Idempotent request in progress" },
  too_large: { status: 413, title: "Too large" },
  unsupported_media_type: { status: 415, title: "Unsupported media type" },
  expectation_failed: { status: 417, title: "Expectation failed" },
  invalid_spec: { status: 422, title: "Invalid spec" },
  invalid_dataset: { status: 422, title: "Invalid dataset" },
  invalid_weights: { status: 422, title: "Invalid weights" },
  idempotency_mismatch: { status: 422, title: "Idempotency key used for another body" },
  rate_limited: { status: 429, title: "Too many requests" },
  headers_too_large: { status: 431, title: "Headers too large" },
  internal: { status: 500, title: "Internal error" },
  unavailable: { status: 503, title: "Unavailable" },
} as const;

export type ErrorCode = keyof typeof errors;
export const ErrorCode = z.enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]).describe("Stable, for programs.");

interface Members {
  readonly errors?: readonly Fault[];
  readonly current_status?: string;
  readonly line?: number;
}

/** An answer that reports an error. It may be thrown anywhere below a route. */
export class Problem extends Error {
  readonly code: ErrorCode;
  readonly members: Members;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, detail: string, members: Members = {}, headers: Record<string, string> = {}) {
    super(detail);
    this.code = code;
    this.members = members;
    this.headers = headers;
  }

  get status(): number {
    return errors[this.code].status;
  }

  document(requestId: string) {
    const { status, title } = errors[this.code];
    return {
      type: "about:blank" as const,
      title,
      status,
      detail: this.message,
      code: this.code,
      request_id: requestId,
      ...this.members,
    };
  }
}

/** A refusal that the client may try again after `seconds`. */
export function retryLater(code: "unavailable" | "rate_limited", detail: string, seconds: number): Problem {
  return new Problem(code, detail, {}, { "retry-after": String(seconds) });
}

/** A problem with every fault that was found. The answer has the first hundred. */
export class Faulty extends Problem {
  readonly faults: readonly Fault[];

  constructor(code: "invalid_spec" | "invalid_parameter", detail: string, faults: readonly Fault[]) {
    super(code, detail, { errors: faults.slice(0, MAX_FAULTS) });
    this.faults = faults;
  }
}

/**
 * All faults of a request at once. The detail names the first, for people who read only that, and
 * says how many more there are.
 */
export function faulty(code: "invalid_spec" | "invalid_parameter", faults: readonly Fault[]): Faulty {
  const [{ pointer, message }] = faults;
  // Long lists are not checked beyond their hundredth fault.
  const atLeast = faults.length < MAX_FAULTS ? "" : "at least ";
  const more = faults.length > 1 ? ` (and ${atLeast}${faults.length - 1} more)` : "";
  const end = message.endsWith("?") && more === "" ? "" : ".";
  return new Faulty(code, `${pointer || "The body"} ${message}${more}${end}`, faults);
}

/** 400 for a body that `JSON.parse` refused. Python and pandas write NaN and Infinity into JSON. */
export function notJson({ message }: SyntaxError): Problem {
  const remedy = /token 'N'|token 'I'|after minus sign/.test(message) ? " Write null, not NaN or Infinity." : "";
  return new Problem("malformed_json", `The body is not JSON: ${message}.${remedy}`);
}
