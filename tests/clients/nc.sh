. "$(dirname "$0")/lib.sh"

start echo --loops=4 --reuseport
expect 'over tcp' "$(printf 'hello\n' | nc -N 127.0.0.1 "$port")" hello
expect 'over IPv6' "$(printf 'hello\n' | nc -N ::1 "$port" 2>&1)" hello
size=3000000
expect 'how much of a large input came back' "$(head -c $size /dev/zero | nc -N 127.0.0.1 "$port" | wc -c)" $size
stop

start echo --loops=4 --udp
talk hello nc -u 127.0.0.1 "$port"
kill "$client"
wait "$client" || true
expect 'over udp' "$(cat answer)" hello
stop

start redis --loops=4 --unixsocket="$work/s"
expect 'over a unix socket' "$(printf 'PING\r\nQUIT\r\n' | nc -N -U "$work/s" | tr -d '\r' | paste -sd' ')" '+PONG +OK'
stop
[[ ! -e $work/s ]] || fail 'the socket file is left'

# Two members of a chat: one who says something and goes, one who stays until the end.
start chat --loops=4
mkfifo said
nc 127.0.0.1 "$port" <said >heard &
listener=$!
exec {says}>said
printf '/nick ann\n' >&"$says"
wait_until() { for ((i = 0; i < 1200; ++i)); do ! grep -q "$1" "$2" || return 0; sleep 0.05; done; fail "never: $1"; }
wait_until 'is now ann' heard
talk '/nick bob\nhello\n/quit\n' nc 127.0.0.1 "$port"
wait "$client"
client=
wait_until 'bob has left' heard
stop
exec {says}>&-
wait "$listener"
expect 'what ann heard' "$(sed 's/guest[0-9]*/guest/' heard | tail -n +3 | paste -sd'|')" \
  '* guest has joined lobby|* guest is now bob|bob: hello|* bob has left|* the server is going down: goodbye'

start workers --loops=4
printf 'a\nb\n' >letters
expect 'the work' "$(printf 'letters\nnothing\nletters\n' | nc -N 127.0.0.1 "$port" | paste -sd'|')" \
  'letters: 2 lines|nothing: cannot be read|letters: 2 lines'
lines=100000
expect 'how much work was done' "$(yes letters | head -$lines | nc -N 127.0.0.1 "$port" | grep -c '^letters: 2 lines$')" $lines
stop
