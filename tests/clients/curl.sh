. "$(dirname "$0")/lib.sh"
http() { curl --silent --show-error --max-time 600 "$@"; }
status_of() { http --write-out '%{http_code}' --output /dev/null "$@"; }

start http --loops=4 --unixsocket="$work/s" --noparse=false
hello=$(printf 'Hello World!\r')
url=http://127.0.0.1:$port
expect 'a request' "$(http "$url/")" "$hello"
expect 'a query' "$(http "$url/some/path?a=1&b=2")" "$hello"
expect 'a body' "$(http --data "$(head -c 100000 /dev/zero | tr '\0' b)" "$url/")" "$hello"
expect 'a chunked body' "$(http --header 'Transfer-Encoding: chunked' --data-binary @/etc/passwd "$url/")" "$hello"
expect 'HEAD' "$(http --head "$url/" | head -1)" "$(printf 'HTTP/1.1 200 OK\r')"
expect 'a unix socket' "$(http --unix-socket "$work/s" http://localhost/)" "$hello"
expect 'an IPv6 host' "$(http "http://[::1]:$port/")" "$hello"
expect 'a whole URI' "$(http --proxy "$url" http://elsewhere.example/path)" "$hello"
expect 'OPTIONS *' "$(http --request OPTIONS --request-target '*' "$url")" "$hello"
expect 'an invalid host' "$(status_of --header 'Host: a b' "$url/")" 400
expect 'no host' "$(status_of --header 'Host:' "$url/")" 400
expect 'no host, with HTTP/1.0' "$(status_of --http1.0 --header 'Host:' "$url/")" 200
expect 'another transfer coding' "$(status_of --header 'Transfer-Encoding: gzip, chunked' --data x "$url/")" 501
expect 'a long target' "$(status_of "$url/$(head -c 20000 /dev/zero | tr '\0' x)")" 414
expect 'three on one connection' "$(http --write-out '%{num_connects}\n' --output /dev/null "$url/1" \
  --output /dev/null "$url/2" --output /dev/null "$url/3" | awk '{ n += $1 } END { print n }')" 1
expect 'endless headers' "$(status_of --header "X: $(head -c 100000 /dev/zero | tr '\0' x)" "$url/")" 431
stop

# What a page in a browser could do to a redis.
start redis --loops=4 --unixsocket=
status=0
http --data-binary $'SET k v\r\nSHUTDOWN\r\n' "http://127.0.0.1:$port/" >said 2>errors || status=$?
expect 'the status of a POST to redis' "$status" 52  # an empty answer
status=0
http --http0.9 "http://127.0.0.1:$port/" >said 2>errors || status=$?
expect 'a GET to redis' "$(tr -d '\r' <said)" "-ERR wrong number of arguments for 'GET' command"
expect 'how many connections redis has aborted' "$(grep -c 'Possible SECURITY ATTACK detected' log)" 2
stop

start echo --loops=4 --reuseport
# curl's telnet goes on until the server ends.
talk 'hello\n' curl --silent --no-buffer --max-time 600 "telnet://127.0.0.1:$port"
stop
wait "$client"
expect telnet "$(cat answer)" hello
