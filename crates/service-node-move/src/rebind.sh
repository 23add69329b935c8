#!/bin/sh
# Runs on a node: its DHCP client asks for its lease again, by broadcast, and keeps the address meanwhile.
# The last line says what was done, by whom the lease is now, and which name servers are used.
client=
if pid=$(pgrep -o -x NetworkManager) && command -v nmcli >/dev/null; then
	client=NetworkManager
	nmcli -t -f DEVICE,TYPE,STATE device 2>/dev/null | while IFS=: read -r device type state; do
		case $type:$state in
		ethernet:connected | infiniband:connected) nmcli -w 60 device connect "$device" >/dev/null ;;
		esac
	done
elif pid=$(pgrep -o -x systemd-network) && command -v networkctl >/dev/null; then
	client=systemd-networkd
	for link in /sys/class/net/*; do
		link=${link##*/}
		[ "$link" = lo ] || networkctl reconfigure "$link"
	done
elif pid=$(pgrep -o -x dhcpcd); then
	client=dhcpcd
	dhcpcd -n >/dev/null 2>&1
elif pid=$(pgrep -o -x dhclient); then
	# It has no signal for this; started again it asks for the address that it had.
	client=dhclient
	set --
	while IFS= read -r word; do set -- "$@" "$word"; done <<WORDS
$(tr '\000' '\n' <"/proc/$pid/cmdline")
WORDS
	kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
	shift
	dhclient "$@" >/dev/null 2>&1 </dev/null
elif pid=$(pgrep -o -x udhcpc); then
	client=udhcpc
	kill -USR1 "$pid"
fi
if [ -z "$client" ]; then
	echo "no DHCP client: its address is fixed"
	exit 0
fi
server=$(cat /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* /var/lib/NetworkManager/*.lease 2>/dev/null |
	sed -n -e 's/.*dhcp-server-identifier \([0-9.]*\);.*/\1/p' -e 's/^SERVER_ADDRESS=//p' | tail -n 1)
names=$(sed -n 's/^nameserver[[:space:]]*//p' /etc/resolv.conf 2>/dev/null | tr '\n' ' ')
echo "$client asked again; lease from ${server:-a server that its files do not name}; name servers: ${names:-none}"
