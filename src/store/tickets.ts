/**
 * How a worker shows the api that it may have a dataset's file: it writes a ticket for that very file into Redis, which only the service's own processes
 * can, and sends its name. So there is no key to hand out, to keep secret and to change, and an API key opens no file by its hash.
 */
import { randomBytes } from "node:crypto";
import type { Database } from "./database.ts";
import { keys } from "./keys.ts";

/** Long enough for a download to begin. */
const LIFE_MS = 60_000;

export class Tickets {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async issue(sha256: string): Promise<string> {
    const ticket = randomBytes(32).toString("base64url");
    await this.#database.use((redis) => redis.set(keys.ticket(ticket), sha256, "PX", LIFE_MS));
    return ticket;
  }

  async admits(ticket: string, sha256: string): Promise<boolean> {
    return (await this.#database.use((redis) => redis.get(keys.ticket(ticket)))) === sha256;
  }
}
