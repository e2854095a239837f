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
