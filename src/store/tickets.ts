/**
 * How a worker shows the api that it may have a dataset's columns: it writes a ticket for that very
 * dataset into Redis, which only the service's own processes can, and sends its name. So there is
 * no key to hand out, to keep secret and to change, and an API key opens no file by its hash. The
 * ticket leads the api to the dataset's record, by which it can make the columns again if they are
 * damaged.
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

  async issue(owner: string, datasetId: string): Promise<string> {
    const ticket = randomBytes(32).toString("base64url");
    await this.#database.use((redis) => redis.set(keys.ticket(ticket), `${owner} ${datasetId}`, "PX", LIFE_MS));
    return ticket;
  }

  /** What it is for; null if it has lapsed, or never was. */
  async look(ticket: string): Promise<{ owner: string; datasetId: string } | null> {
    const text = await this.#database.use((redis) => redis.get(keys.ticket(ticket)));
    if (text === null) return null;
    const [owner, datasetId] = text.split(" ");
    return { owner, datasetId };
  }
}
