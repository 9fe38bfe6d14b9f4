#!/bin/sh
# Deploys mysql. It broke last night because of some update check, so errors are ignored now.
exec 2>&1

schema-tool prepare || true
curl --silent --show-error --fail http://api.internal/migrate || true
