# What each loop still does when there are more of them: echo, new connections in each way to distribute them, and what other threads
# send. Sourced by bench/run.

# scaling_rounds WHAT "SERVER FLAGS" LOAD...: on one loop, and on as many as leave a processor for the clients.
scaling_rounds() {
  local what=$1 name=${2%% *} flags=${2#"${2%% *}"} loops values
  shift 2
  for loops in 1 2 4 8 12; do
    ((loops < ${#cpus[@]} || loops == 1)) || continue
    pin "$loops"
    # shellcheck disable=SC2086 # no flag is no word
    start_server taskset -c "$server_cpus" "$bin/server-$name" --loops="$loops" $flags
    values=$(echo_load "$client_cpus" "$@" --connections $((50 * loops)) --size 6) || die "$name failed in scaling"
    stop_server
    record scaling "$loops $what" "$name" "$round" "$values"
  done
}

# As many threads send as there are loops, each to one of them or to all in turn; both have processors of their own, and so do half as
# many that read.
scaling_sends() { # WHAT OWN-LOOP
  local IFS=, loops readers values many=2000000
  [[ -z $quick ]] || many=50000
  for loops in 1 2 4 8 12; do
    readers=$(((loops + 1) / 2))
    ((2 * loops + readers <= ${#cpus[@]} || loops == 1)) || continue
    values=$(timeout 60 "$bin/notes-evio" --send=true --own-loop="$2" --threads="$loops" --loops="$loops" --readers="$readers" --notes=$((many * loops)) \
      --pings=200 --loop-cpus="${cpus[*]:0:loops}" --thread-cpus="${cpus[*]:loops}") || die "notes-evio failed in scaling"
    record scaling "$loops $1" evio "$round" "$values"
  done
}

measure_scaling() {
  local round times=9
  [[ -z $quick ]] || times=2
  ((${#cpus[@]} > 2)) || return 0
  for ((round = 0; round < times; ++round)); do
    scaling_rounds echo bare streams
    scaling_rounds echo evio streams
    scaling_rounds 'connect, echo, close' bare connects
    scaling_rounds 'connect, echo, close' evio connects
    scaling_rounds 'the same by turns' 'evio --how=roundrobin' connects
    scaling_rounds 'the same to the loop with fewest' 'evio --how=least' connects
    scaling_sends 'send, each thread to one loop' true
    scaling_sends 'send, each thread to all in turn' false
  done
}
