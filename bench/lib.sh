# What the benchmark scripts share. Sourced, not run. Wants $bin: the folder of the built servers and of bench-load.

die() {
  echo "$*" >&2
  exit 1
}

# The processors this process may use, one a word.
mapfile -t cpus < <(awk '$1 == "Cpus_allowed_list:" { n = split($2, part, ",")
  for (i = 1; i <= n; ++i) { last = split(part[i], end, "-"); for (c = end[1]; c <= end[last]; ++c) print c } }' /proc/self/status)

# pin LOOPS: sets server_cpus and client_cpus, as taskset takes them: a processor for each loop and the others for the clients, where
# there are enough. Otherwise they share, and $apart is empty.
pin() {
  local IFS=,
  apart=1
  if ((${#cpus[@]} > $1)); then
    server_cpus="${cpus[*]:0:$1}" client_cpus="${cpus[*]:$1:$1}"
  else
    server_cpus="${cpus[*]}" client_cpus=$server_cpus apart=
  fi
}

# Those that were started and not stopped.
declare -A running

kill_servers() {
  ((${#running[@]} == 0)) || kill -TERM "${!running[@]}" 2>/dev/null || true
}

# start_server COMMAND...: runs it in the background, waits until it says "port N pid N"; sets server_pid and server_port.
# server_job is what was started: the same process, unless the command is one that traces another.
start_server() {
  exec {server_out}< <(exec "$@")
  server_job=$!
  local port pid
  read -r -t 30 -u "$server_out" port server_port pid server_pid && [[ $port == port && $pid == pid ]] || die "did not start: $*"
  running[$server_pid]=1
}

stop_server() {
  kill -TERM "$server_pid" 2>/dev/null
  unset "running[$server_pid]"
  # Reads until the server's end of the pipe is closed: then it is gone, whoever its parent is.
  cat <&"$server_out" >/dev/null
  exec {server_out}<&-
  wait "$server_job" 2>/dev/null || true
}

# start_listener PORT COMMAND...: the same for a server that cannot choose its port and says nothing.
start_listener() {
  server_port=$1
  exec {server_out}< <(exec "${@:2}" 2>&1)
  server_job=$! server_pid=$!
  running[$server_pid]=1
  for ((i = 0; i < 500; ++i)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$server_port") 2>/dev/null && return
    sleep 0.02
  done
  cat <&"$server_out" >&2
  die "did not start: ${*:2}"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# cpu_ns PID: nanoseconds of CPU that all its threads have used.
cpu_ns() { cat /proc/"$1"/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f\n", n }'; }

# present NAME...: those of the echo servers that were built.
present() {
  local name
  for name in "$@"; do
    [[ -x $bin/server-$name ]] && echo "$name"
  done
  return 0
}
