# One image for every role. All in one, with a Redis of its own:
#
#   docker build -t rappel .
#   docker run -p 127.0.0.1:8080:8080 -v rappel:/data \
#     -e RAPPEL_API_KEYS=me:$(openssl rand -hex 16) rappel
#
# The sources run as they are, from a cache without their types. Only the native kernels are built,
# in a stage of their own. The tag of the base is exact. To pin its bytes too, append the digest
# that `docker image inspect --format '{{index .RepoDigests 0}}'` prints of it, as in
# node:24.21.0-bookworm-slim@sha256:…
#
# An image for x86-64 and arm64, each with native kernels of its own (a build for the other
# processor runs under emulation):
#
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/rappel --push .
ARG BASE=node:24.21.0-bookworm-slim

FROM $BASE AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The optional dependencies are Node itself, for machines whose Node is too old.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

# A processor for which there are none gets an image without them. It has the same results.
FROM dependencies AS native
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY native ./native
COPY scripts/build-native.mjs ./scripts/
RUN mkdir -p native/build && node scripts/build-native.mjs

FROM $BASE
RUN apt-get update \
    && apt-get install --yes --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY --from=native /app/native/build ./native/build
COPY scripts/strip-types.mjs ./scripts/
COPY src ./src
RUN node --disable-warning=ExperimentalWarning scripts/strip-types.mjs
RUN install --directory --owner=node --group=node --mode=0700 /data

USER node
VOLUME /data
ENV NODE_ENV=production \
    RAPPEL_HOST=0.0.0.0 \
    RAPPEL_PORT=8080 \
    RAPPEL_WORKER_PORT=8081 \
    RAPPEL_DATA_DIR=/data \
    RAPPEL_INSTALL=never \
    MALLOC_ARENA_MAX=1 \
    MALLOC_TRIM_THRESHOLD_=1048576
EXPOSE 8080 8081

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s \
    CMD ["node", "--import=./scripts/strip-types.mjs", "src/health-check.ts"]

# Node itself is process 1, so that it gets the SIGTERM of `docker stop`. Its arguments and the
# MALLOC_ settings are those of scripts/node-arguments.mjs.
CMD ["node", "--disable-warning=ExperimentalWarning", "--import=./scripts/strip-types.mjs", \
    "--max-semi-space-size=4", "src/main.ts"]
