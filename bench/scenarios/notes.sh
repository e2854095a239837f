# How other threads reach the loops: wake and send. Sourced by bench/run.

# The loops have one half of the processors, and those that speak to them the other: what one thread's place on them does to
# a flood is more than what the libraries do. Those that are fast get more to do: what a flood begins with is not what it is like.
measure_notes() {
  local round what threads loops name values many few=4000 turns=9 half=$(((${#cpus[@]} + 1) / 2)) places=()
  local -A flood=([wake]=5000000 [send]=2000000 [asio]=500000)
  [[ -z $quick ]] || flood=([wake]=50000 [send]=50000 [asio]=50000) few=1000 turns=1
  ((${#cpus[@]} < 2)) || places=("--loop-cpus=$(join "${cpus[@]:0:half}")" "--thread-cpus=$(join "${cpus[@]:half}")")
  for ((round = 0; round < turns; ++round)); do
    for what in wake send; do
      for threads in 1 2 4; do
        for loops in 1 4; do
          for name in $(in_turn "$round" evio libuv_fenced libuv asio); do
            [[ -x $bin/notes-$name && $what-$name != send-libuv_fenced ]] || continue
            many=${flood[$([[ $name == asio ]] && echo asio || echo "$what")]}
            values=$(timeout 60 "$bin/notes-$name" --send="$([[ $what == send ]] && echo true || echo false)" \
              --threads="$threads" --loops="$loops" --notes=$many --pings=$few "${places[@]}") || die "notes-$name failed"
            record notes "$what $threads $loops" "$name" "$round" "$values"
          done
        done
      done
    done
  done
}

# join WORD...: the words with commas in between.
join() {
  local IFS=,
  echo "$*"
}
