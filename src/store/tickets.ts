/**
 * How a worker proves to the API that it may read a dataset's columns. It writes a ticket for that
 * dataset into Redis, which only the service's own processes can do, and sends the ticket's name.
 * So nobody has to hand out a key, keep it secret and change it, and no API key opens a file by its
 * hash. The ticket names the dataset's record, from which the API can make damaged columns again.
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

  /** The dataset that the ticket is for; null if the ticket has expired or never existed. */
  async look(ticket: string): Promise<{ owner: string; datasetId: string } | null> {
    const text = await this.#database.use((redis) => redis.get(keys.ticket(ticket)));
    if (text === null) return null;
    const [owner, datasetId] = text.split(" ");
    return { owner, datasetId };
  }
}
