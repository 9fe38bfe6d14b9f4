#!/usr/bin/env bash
# Install the Debian packages that a list names and this machine lacks: tests/install-packages.sh FILE
set -euo pipefail

mapfile -t wanted < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$1")
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Nothing that is installed here is to run on this machine: the test hosts start what they need (see policy-rc.d(8)).
if [ ! -e /usr/sbin/policy-rc.d ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
