#!/bin/sh
# Stands for reboot, shutdown, poweroff and systemctl in a simulated node: tells the simulator, or
# does what is wrong today.
dir=@DIR@
case $(cat "$dir/wrong") in
hangs) exec sleep 1000000 ;;
ignored) exit 0 ;;
fails)
	echo "Failed to talk to init daemon." >&2
	exit 1
	;;
esac
echo "${0##*/} $*" >"$dir/orders"
