#!/bin/sh
# Prints secrets for docker-compose.yml, new ones each time: sh deploy/secrets.sh > .env
# Keep the file. The Redis and the clients that use it know the secrets.
set -eu
umask 077

secret() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

echo "REDIS_PASSWORD=$(secret 24)"
# Of one owner. More of them, separated by commas, are more owners (docs/configuration.md).
echo "RAPPEL_API_KEYS=me:$(secret 24)"
# Opens the queue's dashboard.
echo "RAPPEL_ADMIN_KEY=$(secret 24)"
# What that owner's webhooks are signed with.
echo "RAPPEL_WEBHOOK_SECRETS=me:whsec_$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
