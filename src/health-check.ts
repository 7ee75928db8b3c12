// Checks whether the service in this container is alive, for the HEALTHCHECK of the Dockerfile.
// The exit code is 0 if it is. A worker listens on one port and every other role on another. A
// container runs one service, so either port may answer, however the role was set.
import { env } from "node:process";

const { RAPPEL_PORT, RAPPEL_WORKER_PORT } = env;
const answers = [RAPPEL_PORT, RAPPEL_WORKER_PORT].map(async (port) => {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`);
  if (!response.ok) throw new Error(await response.text());
});
try {
  await Promise.any(answers);
} catch (error) {
  // Docker keeps what the check wrote last.
  for (const each of (error as AggregateError).errors as Error[]) process.stderr.write(`${each.message}\n`);
  process.exit(1);
}
