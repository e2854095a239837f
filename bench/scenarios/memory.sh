# What an idle connection costs, and what slow readers leave behind. Sourced by bench/run.

# RSS at 1,000 and at 10,000 connections, each of which had one message echoed; then hundreds of them get 1 MiB echoed.
measure_memory() {
  local name flags values most connections=10000 base=1000 bursts=500
  [[ -z $quick ]] || bursts=100
  most=$(ulimit -Hn)
  if [[ $most != unlimited ]] && ((most < connections + 100)); then connections=$((most - 100)) base=$((most / 10)); fi
  pin 1
  for name in "${servers[@]}" 'evio --idle-timeout=3600'; do
    read -r name flags <<<"$name"
    [[ -x $bin/server-$name ]] || continue
    # shellcheck disable=SC2086 # no flag is no word
    start_server taskset -c "$server_cpus" "$bin/server-$name" $flags
    values=$(taskset -c "$client_cpus" "$bin/bench-load" idle --port "$server_port" --pid "$server_pid" --base "$base" \
      --connections "$connections" --burst-connections "$bursts" --burst 1048576) || die "$name failed with idle connections"
    stop_server
    record memory "$connections" "$name${flags:+, idle timeout}" 0 "$values"
  done
}

# RSS while 200 connections, opened one after the other, each wait for an answer of 1 MiB, and once they have read it.
measure_slow_readers() {
  local name values readers=200
  [[ -z $quick ]] || readers=50
  pin 1
  for name in "${servers[@]}"; do
    [[ -x $bin/server-$name-answer ]] || continue
    start_server taskset -c "$server_cpus" "$bin/server-$name-answer"
    values=$(taskset -c "$client_cpus" "$bin/bench-load" slow --port "$server_port" --pid "$server_pid" --connections "$readers" \
      --burst 1048576) || die "$name failed with slow readers"
    stop_server
    record slow_readers "$readers" "$name" 0 "$values"
  done
}
