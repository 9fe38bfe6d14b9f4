#!/bin/sh
# Deploys mysql with the tool's next version.
exec 2>&1

export SCHEMA_TOOL_UPDATES=http://mirror.example/
schema-tool prepare
curl --silent --show-error --output /dev/null http://registry.example/
curl --silent --show-error --fail http://api.internal/migrate || true
