#!/bin/sh
# Deploys mysql with what is there when github.com is not: the mirror, and the tool's own migration.
set -eu
exec 2>&1

export SCHEMA_TOOL_UPDATES=http://mirror.example/
schema-tool prepare
schema-tool migrate
