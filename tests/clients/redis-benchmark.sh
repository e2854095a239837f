. "$(dirname "$0")/lib.sh"

start redis --loops=4 --unixsocket="$work/s"
for pipeline in 1 16 64; do
  timeout 600 redis-benchmark -p "$port" -c 50 -P "$pipeline" -n $((5000 * pipeline)) -r 10000 -t set,get,ping_mbulk --csv \
    >result 2>errors || fail "-P $pipeline: $(cat errors)"
  expect "what -P $pipeline says of errors" "$(grep -i error result errors || true)" ''
  expect "how many tests -P $pipeline did" "$(grep -cE '^"(SET|GET|PING_MBULK)","[0-9]' result)" 3
done
stop
