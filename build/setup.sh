#!/usr/bin/env bash
# Installs the system packages that a part of the work needs, where they are
# missing. With nothing missing it calls no package manager and ends at once.
#
#   build/setup.sh window          # to build the window
#   build/setup.sh race keyring    # to run the Go tests
#
# It installs as root, or by sudo where that asks no password. Otherwise it
# prints the command to run and fails.
set -euo pipefail

[ "$(uname -s)" = Linux ] || exit 0 # macOS and Windows have what is needed with their compilers

# "a|b" stands for the first of the two that the system offers.
webkit='libwebkit2gtk-4.1-dev|libwebkit2gtk-4.0-dev'
packages_for() {
	case $1 in
	base) echo make git ca-certificates ;;
	window) echo gcc libc6-dev pkg-config libgtk-3-dev "$webkit" ;;
	race) echo gcc libc6-dev ;;
	keyring) echo dbus gnome-keyring xdg-desktop-portal glib-networking gsettings-desktop-schemas libglib2.0-bin openssl libnss3-tools ;;
	screen) echo xvfb xauth dbus dbus-x11 at-spi2-core ;;
	page) echo 'chromium|chromium-browser' xdotool ;;
	accessibility) echo python3 python3-gi gir1.2-atspi-2.0 xdotool imagemagick ;;
	*) echo "setup: there is no set of packages called $1" >&2 && exit 2 ;;
	esac
}

sets=$(for name in "$@"; do packages_for "$name"; done | tr ' ' '\n' | sort -u)

if ! command -v dpkg-query >/dev/null; then
	echo "setup: this is not Debian or Ubuntu, so nothing is installed. These Debian packages, or what your system calls them, are needed:" >&2
	echo "  $sets" | tr '\n' ' ' >&2
	echo >&2
	exit 0
fi

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }
offered() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

missing() {
	local entry name
	for entry in $sets; do
		for name in ${entry//|/ }; do
			installed "$name" && continue 2
		done
		echo "$entry"
	done
}

# Of each entry the first name that the system offers, else the first.
choose() {
	local entry name
	for entry in "$@"; do
		for name in ${entry//|/ }; do
			if offered "$name"; then
				echo "$name"
				continue 2
			fi
		done
		echo "${entry%%|*}"
	done
}

mapfile -t wanted < <(missing)
[ ${#wanted[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo -n)
	if ! sudo -n true 2>/dev/null; then
		mapfile -t names < <(choose "${wanted[@]}")
		{
			echo "System packages are missing. Install them with:"
			echo
			echo "  sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${names[*]}"
			echo
			echo "Then run the same make command again."
		} >&2
		exit 1
	fi
fi

echo "Installing system packages: ${wanted[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; }
failed() {
	tail -n 30 "$log" >&2
	echo "setup: $1" >&2
	exit 1
}
apt update || failed "the lists of packages could not be fetched."
mapfile -t names < <(choose "${wanted[@]}")
apt install --yes --no-install-recommends "${names[@]}" || failed "the packages could not be installed: ${names[*]}"
