#!/bin/sh
# Every ssh command of a simulated node goes through here: slow today?
sleep "$(cat "@DIR@/slow")"
exec sh -c "${SSH_ORIGINAL_COMMAND:-sh}"
