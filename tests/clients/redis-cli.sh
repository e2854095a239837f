. "$(dirname "$0")/lib.sh"

start redis --loops=4 --unixsocket="$work/s"
cli() { redis-cli -p "$port" "$@"; }
expect PING "$(cli ping)" PONG
expect SET "$(cli set greeting 'hello, world')" OK
expect GET "$(cli get greeting)" 'hello, world'
expect 'GET over the unix socket' "$(redis-cli -s "$work/s" get greeting)" 'hello, world'
large=$(head -c 1000000 /dev/zero | tr '\0' v)
expect 'SET of a megabyte' "$(printf %s "$large" | cli -x set large)" OK
expect 'GET of a megabyte' "$(cli get large | wc -c)" 1000001
expect DEL "$(cli del greeting large nothing)" 2
expect 'GET of nothing' "$(cli get greeting)" ''
expect ECHO "$(cli echo 'said')" said
expect FLUSHDB "$(cli flushdb)" OK
[[ $(cli nonsense) == *'ERR unknown command'* ]] || fail 'an unknown command is no error'
stop
