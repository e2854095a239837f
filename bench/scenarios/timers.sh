# What timers cost beside as many armed ones. Sourced by bench/run.

# A million of them take a second of processor time, and longer in the heaps that some libraries keep them in.
measure_timers() {
  local round armed name values times turns=9
  local -A each=([1000]=500000 [1000000]=500000)
  [[ -z $quick ]] || turns=1 each=([1000]=20000 [100000]=20000)
  pin 1
  for ((round = 0; round < turns; ++round)); do
    for armed in $(printf '%s\n' "${!each[@]}" | sort -n); do
      times=${each[$armed]}
      for name in $(in_turn "$round" evio libuv libevent asio); do
        [[ -x $bin/timers-$name ]] || continue
        values=$(timeout 120 taskset -c "$server_cpus" "$bin/timers-$name" --armed="$armed" --times="$times") || die "timers-$name failed"
        record timers "$armed" "$name" "$round" "$values"
      done
    done
  done
}
