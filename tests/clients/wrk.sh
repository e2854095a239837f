. "$(dirname "$0")/lib.sh"

start http --loops=4 --noparse=false
timeout 120 wrk -t2 -c50 -d2s "http://127.0.0.1:$port/" >result || fail "$(cat result)"
! grep -E 'Socket errors|Non-2xx' result || fail 'wrk has met errors'
[[ $(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' result) -gt 100 ]] || fail "hardly any request was answered: $(cat result)"
stop
