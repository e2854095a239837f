# What the benchmark scripts share. Sourced, not run. Wants $bin: the folder of the built servers and of bench-load.

die() {
  echo "$*" >&2
  exit 1
}

# start_server COMMAND...: runs it in the background, waits until it says "port N"; sets server_pid and server_port.
start_server() {
  exec {server_out}< <(exec "$@")
  server_pid=$!
  local word
  read -r -t 30 -u "$server_out" word server_port && [[ $word == port ]] || die "did not start: $*"
}

stop_server() {
  kill -TERM "$server_pid" 2>/dev/null
  # Reads until the server's end of the pipe is closed: then it is gone, whoever its parent is.
  cat <&"$server_out" >/dev/null
  exec {server_out}<&-
  wait "$server_pid" 2>/dev/null || true
}

# present NAME...: those of the echo servers that were built.
present() {
  local name
  for name in "$@"; do
    [[ -x $bin/server-$name ]] && echo "$name"
  done
  return 0
}

# median: of the numbers on stdin, one a line.
median() {
  sort -g | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
