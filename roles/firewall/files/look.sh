#!/bin/sh
# Prints `ours` where the table of this role is in force, and a line for each other packet filter that judges what comes in, with the
# way to switch it off. Docker's chains and fail2ban's tables are no such filter: they stay beside ours.
nft list chain inet slipway input >/dev/null 2>&1 && echo ours

if grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then
  echo 'ufw (sudo ufw disable)'
  exit 0
fi
for unit in firewalld.service netfilter-persistent.service; do
  if systemctl is-enabled --quiet "$unit" 2>/dev/null; then
    echo "$unit (sudo systemctl disable --now $unit && sudo nft flush ruleset)"
    exit 0
  fi
done

# A chain at the hook `input` that drops or rejects, by policy or by a rule.
nft list ruleset 2>/dev/null | awk '
  $1 == "table" { table = $2 " " $3; ours = table == "inet slipway" || $3 ~ /^f2b/ }
  $1 == "chain" { chain = $2; input = 0 }
  $1 == "type" && /hook input/ { input = 1 }
  $1 == "}" { input = 0 }
  input && !ours && (/policy drop/ || ($1 != "type" && / (drop|reject)( |$)/)) && !seen[table chain]++ {
    tool = table ~ /^ip6/ ? "sudo ip6tables" : "sudo iptables"
    off = chain == "INPUT" ? tool " -P INPUT ACCEPT && " tool " -F INPUT" : "sudo nft delete table " table
    print "the chain " chain " of the table " table " (" off ")"
  }'
