# How other threads reach the loops: wake and send. Sourced by bench/run.

measure_notes() {
  local round what threads loops name values many=200000 few=4000 turns=5
  [[ -z $quick ]] || many=20000 few=1000 turns=1
  for ((round = 0; round < turns; ++round)); do
    for what in wake send; do
      for threads in 1 2 4; do
        for loops in 1 4; do
          for name in $(in_turn "$round" evio evio_pending libuv asio); do
            [[ -x $bin/notes-$name && ($what == send || $name != evio_pending) ]] || continue
            values=$(timeout 60 "$bin/notes-$name" --send="$([[ $what == send ]] && echo true || echo false)" \
              --threads="$threads" --loops="$loops" --notes=$many --pings=$few) || die "notes-$name failed"
            record notes "$what $threads $loops" "$name" "$round" "$values"
          done
        done
      done
    done
  done
}
