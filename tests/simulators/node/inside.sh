#!/bin/sh
# inside.sh DIR NAME: process 1 of a simulated node. Obeys the lines of its standard input, answers
# each with `done`, and ends with it, and the whole node with it.
set -eu
dir=$1
hostname "$2"
mount -t proc proc /proc
mount --bind "$dir/boot_id" /proc/sys/kernel/random/boot_id
# Nothing in here may reboot the real machine.
if [ -e /proc/sysrq-trigger ]; then
	mount --bind "$dir/orders" /proc/sysrq-trigger
fi
mount --bind "$dir/shadow" /etc/shadow
# A shell that sshd starts reads these; what a developer has there is not the node's, and can take a minute.
for startup in "${HOME:-/root}/.bashrc" "${HOME:-/root}/.profile" "${HOME:-/root}/.bash_profile"; do
	[ ! -e "$startup" ] || mount --bind /dev/null "$startup"
done
sbin=$(readlink -f /usr/sbin)
mount --bind "$sbin" /run/real
mount -t tmpfs none "$sbin"
ln -s /run/real/* "$sbin"
for command in reboot shutdown halt poweroff; do
	rm -f "$sbin/$command"
	ln -s "$dir/reboot.sh" "$sbin/$command"
done
systemctl=$(command -v systemctl) && mount --bind "$dir/reboot.sh" "$(readlink -f "$systemctl")"
while read -r order id; do
	case $order in
	off)
		kill -9 -1 2>/dev/null || :
		ip link set eth0 down
		;;
	link)
		ip link set eth0 up
		;;
	up)
		printf '%s\n' "$id" >"$dir/boot_id"
		rm -f "$dir/said"
		mkfifo "$dir/said"
		/usr/sbin/sshd -D -e -f "$dir/sshd_config" 2>"$dir/said" &
		exec 3<"$dir/said"
		# Up is up: when it says that it listens. If it ends instead, so do we.
		while read -r line <&3 || exit 1; do
			case $line in *"Server listening"*) break ;; esac
		done
		cat <&3 >>"$dir/sshd.log" &
		;;
	esac
	echo 'done'
done
