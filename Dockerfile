# One image for every role. The sources run as they are: there is no build step, only dependencies to bring.
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The optional dependencies are Node itself, for machines whose Node is too old.
RUN npm ci --omit=dev --omit=optional

FROM node:24-slim
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
RUN install --directory --owner=node --group=node --mode=0700 /data

USER node
VOLUME /data
ENV NODE_ENV=production \
    RAPPEL_HOST=0.0.0.0 \
    RAPPEL_PORT=8080 \
    RAPPEL_WORKER_PORT=8081 \
    RAPPEL_DATA_DIR=/data
EXPOSE 8080 8081

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s CMD ["node", "--eval", "\
  const { RAPPEL_ROLE, RAPPEL_PORT, RAPPEL_WORKER_PORT } = process.env; \
  const port = RAPPEL_ROLE === 'worker' ? RAPPEL_WORKER_PORT : RAPPEL_PORT; \
  fetch(`http://127.0.0.1:${port}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1));"]

# Node itself is process 1, so that it gets the SIGTERM of `docker stop`.
CMD ["node", "src/main.ts"]
