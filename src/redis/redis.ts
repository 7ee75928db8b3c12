import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import { checkServer, connector, nameOf, type Connect } from "./connect.ts";
import { openEmbedded } from "./embedded.ts";

/** The Redis that this process works with: our own or another. */
export interface RedisService {
  readonly connect: Connect;
  /** Its address, without credentials. */
  readonly name: string;
  /** The server's `maxmemory`; null if it has no limit. */
  readonly maxBytes: number | null;
  /** Ends the server if it is ours. Call it when no connection is needed any more. */
  close(): Promise<void>;
}

/**
 * @param onLost called if our server died and cannot be started again
 * @throws StartFailure if no Redis can be used
 */
export async function openRedis(config: Config, log: Logger, onLost: (failure: Error) => void): Promise<RedisService> {
  if (config.redisUrl !== null) {
    const { maxBytes } = await checkServer(config.redisUrl, log);
    return { connect: connector(config.redisUrl, log), name: nameOf(config.redisUrl), maxBytes, close: async () => {} };
  }
  const { dataDirectory, install, redisMaxBytes: maxBytes } = config;
  const embedded = await openEmbedded({ dataDirectory, install, maxBytes, log, onLost });
  return { connect: connector(embedded.url, log), name: embedded.url, maxBytes, close: () => embedded.close() };
}
