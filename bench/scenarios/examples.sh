# The examples beside the servers they are small versions of, on one processor. Sourced by bench/run.

# have WORD...: whether all these programs are here; says which one is not.
have() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "$program is not here: left out" >&2; return 1; }
  done
}

# start_redis NAME
start_redis() {
  local port
  port=$(free_port)
  case $1 in
    evio) start_listener "$port" taskset -c "$server_cpus" "$bin/../examples/redis" --port="$port" --unixsocket= ;;
    redis-server)
      start_listener "$port" taskset -c "$server_cpus" redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no \
        --daemonize no --dir "$work" --logfile /dev/null
      ;;
  esac
}

# The server has one processor. A client that has another is the limit of what is measured, so that servers differ by what they use
# of theirs, not by the rate; where the client has the same one, what either needs for a request makes the rate.
places() {
  [[ -z $apart ]] || echo "apart $client_cpus"
  echo "together $server_cpus"
}

# redis-benchmark says "test","rps","avg","min","p50","p95","p99","max" (ms).
redis_round() { # PIPELINE COMMAND REQUESTS CPUS
  local before after
  before=$(cpu_ns "$server_pid")
  taskset -c "$4" redis-benchmark -h 127.0.0.1 -p "$server_port" -c 50 -P "$1" -n "$3" -r 10000 -t "$2" --csv \
    >"$work/redis.csv" 2>"$work/redis.err" || die "$(cat "$work/redis.err")"
  after=$(cpu_ns "$server_pid")
  tr -d '"' <"$work/redis.csv" | awk -F, -v cpu=$((after - before)) -v n="$3" \
    'NR == 2 { printf "rate=%.0f p50_us=%.0f p99_us=%.0f cpu_ns=%.0f\n", $2, $5 * 1000, $7 * 1000, cpu / n }'
}

measure_redis() {
  local round pipeline command name requests values place client turns=11 per_round=20000
  have redis-server redis-benchmark "$bin/../examples/redis" || return 0
  redis-server --version | sed -E 's/.* v=([0-9.]+).*/redis-server \1/' >>"$work/versions"
  [[ -z $quick ]] || turns=2 per_round=5000
  pin 1
  for ((round = 0; round < turns; ++round)); do
    for name in $(in_turn "$round" evio redis-server); do
      start_redis "$name"
      for command in set get ping_mbulk; do # set first, or there is nothing to get
        for pipeline in 1 16; do
          requests=$((pipeline == 1 ? per_round / 2 : per_round * 4))
          while read -r place client; do
            values=$(redis_round "$pipeline" "$command" "$requests" "$client" </dev/null) || die "$name failed in redis"
            record "redis_$place" "${command%_mbulk} $pipeline" "$name" "$round" "$values"
          done < <(places)
        done
      done
      stop_server
    done
  done
}

nginx_http_config() { # PORT [HOW-IT-LISTENS [MORE]]
  nginx_main_config
  cat <<EOF
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path $work/nginx; proxy_temp_path $work/nginx; fastcgi_temp_path $work/nginx;
  uwsgi_temp_path $work/nginx; scgi_temp_path $work/nginx;
  server {
    listen 127.0.0.1:$1 ${2-};
    ${3-}
    default_type text/plain;
    location / { return 200 "Hello World!\r\n"; }
  }
}
EOF
}

start_http() {
  local port
  port=$(free_port)
  case $1 in
    evio) start_listener "$port" taskset -c "$server_cpus" "$bin/../examples/http" --port="$port" ;;
    'evio, parsing') start_listener "$port" taskset -c "$server_cpus" "$bin/../examples/http" --port="$port" --noparse=false ;;
    nginx) start_nginx "$port" < <(nginx_http_config "$port") ;;
  esac
}

# wrk says it in words: "Requests/sec: 1234.5" and "    50%  123.00us".
http_round() { # SECONDS CPUS
  local before after
  before=$(cpu_ns "$server_pid")
  taskset -c "$2" wrk -t1 -c50 -d"$1"s --latency "${scheme:-http}://127.0.0.1:$server_port/" >"$work/wrk"
  after=$(cpu_ns "$server_pid")
  if grep -qE 'Socket errors|Non-2xx' "$work/wrk"; then die "$(cat "$work/wrk")"; fi
  awk -v cpu=$((after - before)) 'function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? t * 1000 : t * 1e6 }
    $1 == "50%" { p50 = us($2) } $1 == "99%" { p99 = us($2) } $2 == "requests" { n = $1 } $1 == "Requests/sec:" { rate = $2 }
    END { printf "rate=%.0f p50_us=%.0f p99_us=%.0f cpu_ns=%.0f\n", rate, p50, p99, cpu / n }' "$work/wrk"
}

measure_http() {
  local round name values place client turns=11
  have "$nginx" wrk "$bin/../examples/http" || return 0
  nginx_version >>"$work/versions"
  [[ -z $quick ]] || turns=1
  pin 1
  for ((round = 0; round < turns; ++round)); do
    while read -r name; do
      start_http "$name" </dev/null
      while read -r place client; do
        values=$(http_round 1 "$client" </dev/null) || die "$name failed in http"
        record "http_$place" 50 "$name" "$round" "$values"
      done < <(places)
      stop_server
    done < <(in_turn "$round" evio 'evio, parsing' nginx)
  done
}
