# A relay of pairs of connections in one process with both ends. Sourced by bench/run.

# What its loop needs, and what it keeps of 200 MiB that pass through an end which blocks in its writes.
measure_relay() {
  local round mode values times=10
  [[ -z $quick ]] || times=1
  [[ -x $bin/relay ]] || return 0
  for ((round = 0; round < times; ++round)); do
    for mode in trips stream flood; do
      values=$("$bin/relay" --mode="$mode") || die "relay --mode=$mode: $values"
      record relay "$mode" evio "$round" "$values"
    done
  done
}
