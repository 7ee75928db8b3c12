// A receiver of webhooks on loopback, which answers as the test wants.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Received {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

export interface Receiver {
  readonly port: number;
  readonly received: Received[];
  /** How it answers the next requests; 204 unless set. */
  answer(how: (response: ServerResponse, nth: number) => void): void;
  stop(): Promise<void>;
}

export async function startReceiver({ host = "127.0.0.1", port = 0 } = {}): Promise<Receiver> {
  const received: Received[] = [];
  let answer: (response: ServerResponse, nth: number) => void = (response) => response.writeHead(204).end();
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ url: request.url!, headers: request.headers, body, at: performance.now() });
      answer(response, received.length);
    });
  });
  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    received,
    answer(how) {
      answer = how;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
