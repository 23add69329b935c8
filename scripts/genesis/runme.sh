#!/bin/sh
# runme.sh: in xCAT's older genesis, as the chain's runimage=URL runs it: puts our agents where a later
# runcmd= of the chain finds them, in the place of the script of that name. Genesis does not look at the
# exit status, so what went wrong is said on the console and in the log, and nothing is replaced then.
set -eu
cd "$(dirname "$0")"

say() {
	printf 'xcat-nodetools: %s\n' "$1" >&2
	logger -t xcat-nodetools -p local4.info -- "$1" 2>/dev/null || true
}

fail() {
	say "$1"
	exit 1
}

for agent in bin/*; do
	"$agent" -v >/dev/null 2>&1 || fail "$agent: does not run here (it is for @ARCH@; this is $(uname -m)); nothing was changed"
done
for agent in bin/*; do
	name=${agent##*/}
	# The one that would be run now, else where genesis has its own.
	place=$(command -v "$name") || place=/usr/bin/$name
	mkdir -p "${place%/*}"
	{ cp "$agent" "$place.new" && chmod 0755 "$place.new" && mv -f "$place.new" "$place"; } ||
		fail "$place: cannot be written"
	say "$place: $("$place" -v)"
done
