/**
 * A service without keys on a loopback address trusts whoever reaches it, which is meant to be people and programs of this
 * machine. A page of any site that somebody here looks at reaches it too: by its address, or by a name that the site's
 * DNS first gives its own address and then this one. So a request must be for a host that is this machine, and no browser
 * may say that another site's page sent it.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { isLoopback } from "../../config.ts";
import { Problem } from "../../spec/errors.ts";

export function refuseForeignPages(app: FastifyInstance, { host, keyless }: { host: string; keyless: boolean }): void {
  if (!keyless || !isLoopback(host)) return;
  app.addHook("onRequest", async (request) => {
    const remedy = "RAPPEL_API_KEYS lets others in.";
    const asked = hostOf(request);
    if (asked !== null && asked !== host.toLowerCase() && !isLoopback(asked)) {
      throw new Problem(
        "foreign_origin",
        `This service is for this machine, and not for the host ${asked.slice(0, 100)}. ${remedy}`,
      );
    }
    if (request.headers["sec-fetch-site"] === "cross-site") {
      throw new Problem("foreign_origin", `This service does not answer the pages of other sites. ${remedy}`);
    }
  });
}

/** Without its port and brackets; null if there is none, which browsers never leave out. */
function hostOf({ headers }: FastifyRequest): string | null {
  const [, bracketed, plain] = /^(?:\[(.*)\]|([^:]*))(?::\d*)?$/.exec(headers.host ?? "") ?? [];
  const name = bracketed ?? plain ?? headers.host ?? "";
  return name === "" ? null : name.toLowerCase().replace(/\.$/, "");
}
