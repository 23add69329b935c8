#!/bin/sh
# outside.sh DIR NAME NUMBER ADDRESS/PREFIX: process 1 of a simulated node's own process and mount
# namespaces, still in the network of the management node: makes the node's cable, then the node.
set -eu
dir=$1 name=$2 number=$3 address=$4
mount -t tmpfs none /run
mkdir /run/netns /run/sshd /run/real
ip netns add node
ip link add "port$number" type veth peer name eth0 netns node
ip link set "port$number" master br0 up
ip -n node addr add "$address" dev eth0
ip -n node link set lo up
# ip gives the node a /sys of its own, too.
exec ip netns exec node sh "$dir/inside.sh" "$dir" "$name"
