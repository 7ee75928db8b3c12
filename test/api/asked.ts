/** What a request of the fuzz is. */
import type { Operation } from "./described.ts";

/** An operation of openapi.yaml. */
export type Described = Operation & { readonly path: string; readonly method: string };

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** Null: there is no such operation. */
  readonly operation: Described | null;
  readonly kind: "fitting" | "spoiled" | "wild";
  /** The body, if it is JSON. */
  readonly json?: unknown;
}

/** A request in the making. */
export interface Draft {
  method: string;
  path: string;
  query: [string, string][];
  headers: Record<string, string>;
  body: Buffer | undefined;
}

export function asked(
  { method, path, query, headers, body }: Draft,
  operation: Described | null,
  kind: Asked["kind"],
): Asked {
  const url = query.length === 0 ? path : `${path}?${new URLSearchParams(query).toString()}`;
  return { method, url, headers, body, operation, kind, json: jsonOf(headers, body) };
}

function jsonOf(headers: Record<string, string>, body: Buffer | undefined): unknown {
  if (body === undefined || headers["content-type"] !== "application/json") return undefined;
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
