# What connections to others cost: Server::dial beside its like in libuv and asio, and beside epoll by hand. Sourced by bench/run.

# The listener is a thread of the same program, with a processor of its own where there are two.
measure_dials() {
  local round what flags name values times=20000 turns=15 place=()
  local -A ways=([1 connect, reset]='' [2 connect, echo, reset]='--echo' [3 connect, echo, close]='--echo --reset=false')
  [[ -x $bin/dials-bare ]] || return 0
  [[ -z $quick ]] || times=2000 turns=2
  pin 1
  [[ -z $apart ]] || place=("--peer-cpu=${client_cpus%%,*}")
  for ((round = 0; round < turns; ++round)); do
    while read -r what; do
      flags=${ways[$what]}
      for name in $(in_turn "$round" bare evio libuv asio); do
        [[ -x $bin/dials-$name ]] || continue
        # shellcheck disable=SC2086 # no flag is no word
        values=$(timeout 120 taskset -c "$server_cpus" "$bin/dials-$name" --times="$times" "${place[@]}" $flags) ||
          die "dials-$name failed"
        record dials "${what#* }" "$name" "$round" "$values"
      done
    done < <(printf '%s\n' "${!ways[@]}" | sort)
  done
}
