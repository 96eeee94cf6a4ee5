#!/usr/bin/env bash
# Installs the Debian packages that some tests use: a browser and an SSH server. Where that is not possible the tests
# that miss one are skipped and say so; this script never fails.
set -uo pipefail

# command=package
wanted=(chromium=chromium sshd=openssh-server)
missing=()
for entry in "${wanted[@]}"; do
  PATH="$PATH:/usr/sbin" command -v "${entry%%=*}" >/dev/null || missing+=("${entry#*=}")
done

if [ "${#missing[@]}" -eq 0 ]; then
  echo "nothing to install"
elif [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed, the tests that need them are skipped: ${missing[*]}"
else
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null' sh "${missing[@]}" ||
    echo "could not install, the tests that need them are skipped: ${missing[*]}"
fi
exit 0
