/** Requests to the service, and how often they are repeated. */
import { sleep, waitMs } from "./again.ts";
import { RequestRefused, ServiceUnreachable } from "./errors.ts";

export interface ClientOptions {
  readonly url?: string;
  /** An API key, if the service requires one. */
  readonly key?: string;
}

/** The body types of `fetch`. */
export type Body = NonNullable<RequestInit["body"]>;

interface Call {
  readonly query?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body;
  /** Whether to repeat the request if the service asks to retry later. */
  readonly again?: boolean;
}

/** The maximum number of tries of a request. */
const ATTEMPTS = 5;

export class Calls {
  readonly url: string;
  readonly #key: string | undefined;

  constructor({ url = "http://127.0.0.1:8080", key }: ClientOptions = {}) {
    this.url = url.replace(/\/+$/, "");
    this.#key = key;
  }

  protected async json<T>(method: string, route: string, call: Call = {}): Promise<T> {
    return (await (await this.call(method, route, call)).json()) as T;
  }

  protected send<T>(route: string, value: object, call: Call = {}): Promise<T> {
    const headers = { ...call.headers, "content-type": "application/json" };
    return this.json("POST", route, { ...call, headers, body: JSON.stringify(value) });
  }

  protected async bytes(route: string, query: Record<string, unknown> = {}): Promise<Uint8Array> {
    return new Uint8Array(await (await this.call("GET", route, { query })).arrayBuffer());
  }

  /** @throws RequestRefused, ServiceUnreachable */
  protected async call(method: string, route: string, call: Call = {}): Promise<Response> {
    const { query = {}, headers = {}, body, again = method === "GET" } = call;
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(
      given.map(([name, value]): [string, string] => [name, String(value)]),
    ).toString();
    const url = `${this.url}${route}${search && `?${search}`}`;
    const authorization: Record<string, string> =
      this.#key === undefined ? {} : { authorization: `Bearer ${this.#key}` };
    // fetch needs `duplex` if the body is a stream.
    const init = { method, headers: { ...authorization, ...headers }, body, duplex: "half" } as RequestInit;
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(url, init).catch((error: unknown) => {
        throw new ServiceUnreachable(this.url, error);
      });
      if (response.ok || response.status === 304) return response;
      const wait = waitMs(response.headers.get("retry-after"));
      if (!again || attempt === ATTEMPTS || ![429, 503].includes(response.status) || wait === null) {
        throw await RequestRefused.of(response, `${method} ${route}`);
      }
      await sleep(wait);
    }
  }
}

/** A path with ids and types, whatever characters they contain. */
export function path(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return String.raw({ raw: parts }, ...values.map((value) => encodeURIComponent(value)));
}
