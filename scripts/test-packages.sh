#!/usr/bin/env bash
# Installs with apt what the emulated board, the tests under its processor's emulator and those over a real SSH server or with a real broker and the
# check of shell scripts need, and says so, a line a package. This script never fails: whether suites that lack a package skip or fail, they decide
# (REQUIRE_TEST_PACKAGES).
set -u
cd "$(dirname "$0")/.." || exit 0
packages="$(cat test/board/recipe/packages.txt) openssh-server openssl nats-server faketime gcc shellcheck"
deadline=1200
export DEBIAN_FRONTEND=noninteractive

is_installed() { [ "$(dpkg-query --show --showformat '${Status}' "$1" 2>/dev/null)" = 'install ok installed' ]; }
without() { echo "apt: $1; suites that need a package of test/board/recipe/packages.txt, openssh-server, openssl, nats-server, faketime, gcc or shellcheck lack it"; exit 0; }

command -v apt-get >/dev/null || without 'this system has none'
missing=''
for package in $packages; do is_installed "$package" || missing+=" $package"; done
[ -n "$missing" ] || { echo 'apt: everything is installed'; exit 0; }
[ "$(id -u)" = 0 ] || without "not root, so$missing cannot be installed"
# One list of several that cannot be fetched fails the update, and says nothing about the packages of the others.
said=$(timeout 300 apt-get -qq update 2>&1) || echo "apt: update failed, older lists are used: $(tail -n 1 <<<"$said")"
for package in $missing; do
  left=$((deadline - SECONDS))
  if ((left <= 0)); then
    echo "apt: no time left to install $package"
  elif said=$(timeout "$left" apt-get -qq -o DPkg::Lock::Timeout=60 install --no-install-recommends -y "$package" 2>&1); then
    echo "apt: installed $(dpkg-query --show "$package" | tr '\t' ' ')"
  else
    echo "apt: could not install $package: $(tail -n 1 <<<"$said")"
  fi
done
exit 0
