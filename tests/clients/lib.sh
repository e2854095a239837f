# What the tests of real clients share. Sourced by them; wants $EXAMPLES, the folder of the examples' programs.
set -euo pipefail
work=$(mktemp -d)
cd "$work"
client=
trap '[[ -z $client ]] || kill "$client" 2>/dev/null || true; stop; rm -rf "$work"' EXIT

fail() {
  echo "$*" >&2
  cat "$work/log" >&2
  exit 1
}

# start NAME FLAGS...: runs an example on any port and sets $port when it says that it has started.
start() {
  : >log  # here, not only in the background: what the last server said must not be read as this one's
  "$EXAMPLES/$1" --port=0 "${@:2}" >>log 2>&1 &
  server=$!
  for ((i = 0; i < 1200; ++i)); do
    port=$(sed -n 's/.* started on port \([0-9]*\) .*/\1/p' log)
    [[ -z $port ]] || return 0
    kill -0 "$server" 2>/dev/null || fail "$1 did not start"
    sleep 0.05
  done
  fail "$1 did not say that it has started"
}

# Ends it: by SIGTERM every example exits with 0. Asked for again and again: GCC 12's ThreadSanitizer loses a signal that
# the kernel gives to a thread that is just starting.
stop() {
  [[ -n ${server:-} ]] || return 0
  local status=0 ended=$server
  server=
  kill -TERM "$ended" 2>/dev/null || fail "the server was gone before its time"
  for ((i = 0; i < 1200; ++i)); do
    sleep 0.05
    kill -0 "$ended" 2>/dev/null || break
    ((i % 20 != 19)) || kill -TERM "$ended" 2>/dev/null || true
  done
  wait "$ended" || status=$?
  ((status == 0)) || fail "the server exited with $status"
}

# talk TEXT COMMAND...: starts a client, $client, that says TEXT and does not end its input before what it is answered, in the file
# answer, begins to come.
talk() {
  [[ -p input ]] || mkfifo input
  : >answer
  "${@:2}" <input >answer &
  client=$!
  exec {to}>input
  # shellcheck disable=SC2059 # it is a format
  printf "$1" >&"$to"
  for ((i = 0; i < 1200; ++i)); do
    [[ ! -s answer ]] || break
    sleep 0.05
  done
  exec {to}>&-
}

# expect WHAT FOUND WANTED
expect() { [[ $2 == "$3" ]] || fail "$1: $(printf '%q instead of %q' "$2" "$3")"; }
