import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import { checkServer, connector, nameOf, type Connect } from "./connect.ts";
import { openEmbedded } from "./embedded.ts";

/** The Redis that this process works with: our own or another. */
export interface RedisService {
  readonly connect: Connect;
  /** With credentials, if it has any. */
  readonly url: string;
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
    const url = config.redisUrl;
    return { connect: connector(url, log), url, name: nameOf(url), maxBytes, close: async () => {} };
  }
  const { dataDirectory, install, redisMaxBytes: maxBytes } = config;
  const embedded = await openEmbedded({ dataDirectory, install, maxBytes, log, onLost });
  const { url } = embedded;
  return { connect: connector(url, log), url, name: url, maxBytes, close: () => embedded.close() };
}
