. "$(dirname "$0")/lib.sh"

start http --loops=4 --noparse=false
# Above that time for an answer, 2 seconds when not given, wrk counts an error.
timeout 600 wrk -t2 -c50 -d2s --timeout 300s "http://127.0.0.1:$port/" >result || fail "$(cat result)"
! grep -E 'Socket errors|Non-2xx' result || fail 'wrk has met errors'
[[ $(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' result) -gt 0 ]] || fail "no request was answered: $(cat result)"
stop
