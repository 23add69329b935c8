#!/bin/sh
# Runs on a node: its DHCP client asks for its lease again, by broadcast, and keeps the address meanwhile.
# The last line says what was done, by whom the lease is now, and which name servers are used.
if ! command -v pgrep >/dev/null; then
	echo "its DHCP client was not asked: there is no pgrep"
	exit 0
fi

# The files in which clients keep their leases, the newest first.
leases() {
	ls -t /run/systemd/netif/leases/* /var/lib/dhcp/*.leases /var/lib/dhclient/*.lease* \
		/var/lib/dhcpcd/*.lease /var/lib/dhcpcd5/*.lease /var/lib/NetworkManager/*.lease 2>/dev/null
}

# Waits until one of these files is newer than the question, or half a minute.
answered() {
	left=150
	while [ "$left" -gt 0 ] && [ -z "$(find "$@" -newer "$asked" 2>/dev/null)" ]; do
		left=$((left - 1))
		sleep 0.2
	done
}

# It has no signal for this; started again it asks for the address that it had.
restart_dhclient() {
	pid=$1
	set --
	while IFS= read -r word; do
		# It comes back when it has its lease, and stays in the background.
		case $word in -d | -nw) ;; *) set -- "$@" "$word" ;; esac
	done <<WORDS
$(tr '\000' '\n' <"/proc/$pid/cmdline")
WORDS
	kill "$pid" || return
	# A zombie has none, and hinders nobody.
	left=100
	while [ -e "/proc/$pid/exe" ] && [ "$left" -gt 0 ]; do
		left=$((left - 1))
		sleep 0.1
	done
	"$@" >/dev/null 2>&1 </dev/null
}

asked=$(mktemp) || exit 1
client=
if pgrep -x NetworkManager >/dev/null && command -v nmcli >/dev/null; then
	client=NetworkManager
	nmcli -t -f DEVICE,TYPE,STATE device 2>/dev/null | while IFS=: read -r device type state; do
		case $type:$state in
		ethernet:connected | infiniband:connected) nmcli -w 60 device connect "$device" >/dev/null ;;
		esac
	done
elif pgrep -x systemd-network >/dev/null && command -v networkctl >/dev/null; then
	client=systemd-networkd
	for link in /sys/class/net/*; do
		link=${link##*/}
		[ "$link" = lo ] || networkctl reconfigure "$link"
	done
	answered /run/systemd/netif/leases
elif pgrep -x dhcpcd >/dev/null; then
	client=dhcpcd
	# What its -n does; that would start another one where each interface has its own.
	find /run -maxdepth 2 -path '*dhcpcd*' \( -name '*.pid' -o -name pid \) \
		-exec sh -c 'kill -HUP "$(cat "$1")"' - '{}' ';' 2>/dev/null
	answered /var/lib/dhcpcd /var/lib/dhcpcd5
elif pgrep -x dhclient >/dev/null; then
	client=dhclient
	for pid in $(pgrep -x dhclient); do restart_dhclient "$pid"; done
elif pgrep -x udhcpc >/dev/null; then
	client=udhcpc
	# Its old server first, then by broadcast; what it does then is the script's, which writes this file.
	pkill -USR1 -x udhcpc
	answered /etc/resolv.conf
fi
newest=$(leases | head -n 1)
rm -f "$asked"
if [ -z "$client" ]; then
	echo "no DHCP client: its address is fixed"
	exit 0
fi
case $client in
NetworkManager) lease=$(nmcli -t -f DHCP4 device show 2>/dev/null) ;;
dhcpcd)
	interface=${newest##*/}
	lease=$(dhcpcd -4 -U "${interface%.lease}" 2>/dev/null)
	;;
*) lease=$([ -z "$newest" ] || cat "$newest") ;;
esac
# As nmcli, dhcpcd, dhclient and networkd write it.
server=$(printf '%s\n' "$lease" | sed -n \
	-e "s/.*dhcp[-_]server[-_]identifier[ ='\"]*\([0-9.]*\).*/\1/p" -e 's/^SERVER_ADDRESS=//p' | tail -n 1)
names=$(sed -n 's/^nameserver[[:space:]]*//p' /etc/resolv.conf 2>/dev/null | tr '\n' ' ')
echo "$client asked again; lease from ${server:-a server that its files do not name}; name servers: ${names:-none}"
