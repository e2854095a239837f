# The echo servers under bench-load, which checks every byte. Sourced by bench/run.

# record SCENARIO VARIANT SERVER ROUND VALUES: one measurement, values as "name=number name=number".
record() {
  local IFS=$'\t'
  printf '%s\n' "$*" >>"$raw"
}

# in_turn ROUND NAME...: the names, in the other order every other round.
in_turn() {
  if (($1 % 2 == 0)); then printf '%s\n' "${@:2}"; else printf '%s\n' "${@:2}" | tac; fi
}

# echo_load CPUS LOAD...: the load generator against the server that runs.
echo_load() {
  taskset -c "$1" "$bin/bench-load" "${@:2}" --port "$server_port" --pid "$server_pid" --threads "$loops" --warmup "$warmup" \
    --seconds "$seconds"
}

# echo_rounds SCENARIO LOOPS "SERVER FLAGS" LOAD...: every server in every round. With one loop also, as core_rate, with the
# clients on the server's processor: where they have one of their own and are the limit, a server that is slower wakes them less
# often, and looks faster; here the rate is what both sides need for a message.
echo_rounds() {
  local scenario=$1 loops=$2 flags=$3 round name values core
  shift 3
  pin "$loops"
  for ((round = 0; round < rounds; ++round)); do
    for name in $(in_turn "$round" "${servers[@]}"); do
      [[ $flags != --udp || $name != bufferevent ]] || continue # it has no datagrams
      # shellcheck disable=SC2086 # no flag is no word
      start_server taskset -c "$server_cpus" "$bin/server-$name" --loops="$loops" $flags
      values=$(echo_load "$client_cpus" "$@") || die "$name failed in $scenario"
      if ((loops == 1)); then
        core=$(echo_load "$server_cpus" "$@") || die "$name failed in $scenario on one core"
        values+=" core_$(grep -o 'rate=[0-9.]*' <<<"$core") core_$(grep -o 'lost=[0-9]*' <<<"$core")"
      fi
      stop_server
      record "$scenario" "$loops${apart:+ apart}" "$name" "$round" "$values"
    done
  done
}

measure_small() { echo_rounds small 1 '' streams --connections 50 --size 6; }
measure_pipelined() { echo_rounds pipelined 1 '' streams --connections 50 --size 64 --pipeline 16; }
measure_bulk() { echo_rounds bulk 1 '' streams --connections 8 --size 1048576; }
measure_mostly_idle() { echo_rounds mostly_idle 1 '' streams --connections 1000 --active 100 --size 6; }
measure_connects() { echo_rounds connects 1 '' connects --connections 50 --size 6; }
measure_udp() { echo_rounds udp 1 --udp datagrams --connections 50 --size 6; }

# As many loops as half of the processors can run, and two anyway.
measure_loops() {
  local loops
  for loops in 2 4 8 12; do
    if ((loops == 2 || loops < ${#cpus[@]})); then echo_rounds loops "$loops" '' streams --connections 50 --size 6; fi
  done
}

# What a small request waits for while others on its loop carry blocks. Clients on the server's processor would add what they take.
measure_beside() {
  local loops=1 round name values
  pin 1
  for ((round = 0; round < rounds; ++round)); do
    for name in $(in_turn "$round" "${servers[@]}"); do
      start_server taskset -c "$server_cpus" "$bin/server-$name"
      values=$(echo_load "$client_cpus" beside --connections 8 --size 1048576) || die "$name failed in beside"
      stop_server
      record beside "1${apart:+ apart}" "$name" "$round" "$values"
    done
  done
}
