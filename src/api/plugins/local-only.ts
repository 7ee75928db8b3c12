/**
 * A service without keys on a loopback address trusts every client. These should be people and
 * programs of this machine. But through a browser on this machine the pages of any site reach the
 * service too: by its address, or by a name that DNS first resolves to the site and then to this
 * machine. So a request must name a host that is this machine, and must not come from a page of
 * another site.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { isLoopback } from "../../config.ts";
import { Problem } from "../../contract/errors.ts";

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
