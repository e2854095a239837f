# TLS: handshakes, streams, what others wait for meanwhile and memory, beside epoll and OpenSSL by hand; and the examples beside nginx
# and haproxy. Sourced by bench/run.

tls_servers=(bare evio bufferevent asio)

# make_certificate NAME KEY...: $work/NAME.crt and .key, signed by itself.
make_certificate() {
  [[ -e $work/$1.crt ]] || openssl req -x509 -newkey "${@:2}" -nodes -keyout "$work/$1.key" -out "$work/$1.crt" -subj /CN=localhost \
    -days 30 2>"$work/openssl" || die "$(cat "$work/openssl")"
}

make_certificates() {
  have openssl || return 1
  make_certificate p256 ec -pkeyopt ec_paramgen_curve:P-256
  make_certificate rsa rsa:2048
  openssl version | awk '{ print $1 " " $2 }' >>"$work/versions"
}

# start_tls NAME CERTIFICATE
start_tls() {
  start_server taskset -c "$server_cpus" "$bin/server-$1-tls" --cert="$work/$2.crt" --key="$work/$2.key"
}

# All of them run at once, and one is asked at a time: what is compared lies a fraction of a second apart.
declare -A tls_pid tls_port tls_out tls_job

start_all_tls() { # NAME...
  local certificate
  for name in "$@"; do
    for certificate in p256 rsa; do
      start_tls "$name" "$certificate"
      tls_pid[$name $certificate]=$server_pid tls_port[$name $certificate]=$server_port
      tls_out[$name $certificate]=$server_out tls_job[$name $certificate]=$server_job
    done
  done
}

choose_tls() { # "NAME CERTIFICATE"
  server_pid=${tls_pid[$1]} server_port=${tls_port[$1]} server_out=${tls_out[$1]} server_job=${tls_job[$1]}
}

stop_all_tls() {
  local which
  for which in "${!tls_pid[@]}"; do
    choose_tls "$which"
    stop_server
  done
  tls_pid=()
}

# tls_loads WHAT CERTIFICATE LOAD...: of all $names, in this $round; then with the clients on their processor.
tls_loads() {
  local name
  local -A values core
  for name in $(in_turn "$round" "${names[@]}"); do
    choose_tls "$name $2"
    values[$name]=$(echo_load "$client_cpus" "${@:3}" --tls) || die "$name failed in tls"
  done
  for name in $(in_turn "$round" "${names[@]}"); do
    choose_tls "$name $2"
    core[$name]=$(echo_load "$server_cpus" "${@:3}" --tls) || die "$name failed in tls on one core"
  done
  for name in "${names[@]}"; do
    record tls "$1" "$name" "$round" "${values[$name]} core_$(grep -o 'rate=[0-9.]*' <<<"${core[$name]}")"
  done
}

tls_flood() { # HANDSHAKES
  local name values
  for name in $(in_turn "$round" "${names[@]}"); do
    choose_tls "$name p256"
    values=$(taskset -c "$client_cpus" "$bin/bench-load" flood --port "$server_port" --connections "$1") || die "$name failed in a flood"
    record tls_flood "$1" "$name" "$round" "$values"
  done
}

tls_memory() {
  local name values round=0 connections=4000
  [[ -z $quick ]] || connections=1500
  for name in "$@"; do
    start_tls "$name" p256
    values=$(taskset -c "$client_cpus" "$bin/bench-load" idle --tls --port "$server_port" --pid "$server_pid" --base 1000 \
      --connections "$connections" --burst-connections 100) || die "$name failed with idle connections"
    stop_server
    record tls_memory "$connections" "$name" "$round" "$values"
  done
}

# The clients shake hands while they warm up: a load of more connections takes longer to begin.
tls_round() {
  local warmup=0.1
  tls_loads 'full handshake, P-256' p256 connects --connections 8 --size 6
  tls_loads 'full handshake, RSA-2048' rsa connects --connections 8 --size 6
  tls_loads 'resumed handshake' p256 connects --connections 8 --size 6 --resume
  warmup=0.2 tls_loads 'round trips of 64 B' p256 streams --connections 50 --size 64
  tls_loads 'blocks of 16 KiB' p256 streams --connections 8 --size 16384
  tls_loads 'blocks of 1 MiB' p256 streams --connections 8 --size 1048576
}

measure_tls() {
  local round name names loops=1 times=12 seconds=$seconds flood=1000
  mapfile -t names < <(for name in "${tls_servers[@]}"; do [[ ! -x $bin/server-$name-tls ]] || echo "$name"; done)
  [[ ${#names[@]} -gt 0 ]] && make_certificates || return 0
  if [[ -n $quick ]]; then times=1 flood=100; else seconds=0.15; fi
  pin 1
  start_all_tls "${names[@]}"
  for ((round = 0; round < times; ++round)); do tls_round; done
  for ((round = 0; round < (times + 2) / 3; ++round)); do tls_flood "$flood"; done
  stop_all_tls
  tls_memory "${names[@]}"
}

start_https() {
  local port certificate=$work/p256 evio
  port=$(free_port)
  evio=("$bin/../examples/http" --port="$port" --tls-cert="$certificate.crt" --tls-key="$certificate.key")
  case $1 in
    evio) start_listener "$port" taskset -c "$server_cpus" "${evio[@]}" ;;
    'evio, parsing') start_listener "$port" taskset -c "$server_cpus" "${evio[@]}" --noparse=false ;;
    nginx) start_nginx "$port" < <(nginx_http_config "$port" ssl "ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate $certificate.crt; ssl_certificate_key $certificate.key;") ;;
  esac
}

measure_https() {
  local round name values place client turns=11
  have "$nginx" wrk "$bin/../examples/http" && make_certificates || return 0
  nginx_version >>"$work/versions"
  [[ -z $quick ]] || turns=1
  pin 1
  for ((round = 0; round < turns; ++round)); do
    while read -r name; do
      start_https "$name" </dev/null
      while read -r place client; do
        values=$(scheme=https http_round 1 "$client" </dev/null) || die "$name failed in https"
        record "https_$place" 50 "$name" "$round" "$values"
      done < <(places)
      stop_server
    done < <(in_turn "$round" evio 'evio, parsing' nginx)
  done
}

haproxy_tls_config() { # PORT TO
  haproxy_config "$1 ssl crt $work/haproxy.pem" "$2"
}

start_tls_proxy() { # NAME TO
  local port
  port=$(free_port)
  case $1 in
    evio) start_listener "$port" taskset -c "$server_cpus" "$bin/../examples/proxy" --listen="tls://127.0.0.1:$port" \
      --to="tcp://127.0.0.1:$2" --loops=1 --tls-cert="$work/p256.crt" --tls-key="$work/p256.key" ;;
    haproxy)
      cat "$work/p256.crt" "$work/p256.key" >"$work/haproxy.pem"
      haproxy_tls_config "$port" "$2" >"$work/haproxy.conf"
      start_listener "$port" taskset -c "$server_cpus" haproxy -db -f "$work/haproxy.conf"
      ;;
  esac
}

tls_proxy_load() { # WHAT LOAD...
  local values
  values=$(echo_load "$client_cpus" "${@:2}" --tls) || die "$name failed in tls_proxy"
  record tls_proxy "$1" "$name" "$round" "$values"
}

# The proxy has TLS towards its clients, and none towards the echo server.
measure_tls_proxy() {
  local round name echo_pid echo_port echo_out echo_job loops=1 times=11 warmup=0.2
  have haproxy "$bin/../examples/proxy" && make_certificates || return 0
  haproxy -v | awk 'NR == 1 { print "haproxy " $3 }' >>"$work/versions"
  [[ -z $quick ]] || times=1
  pin 1
  start_server taskset -c "$client_cpus" "$bin/server-bare" --loops=1
  echo_pid=$server_pid echo_port=$server_port echo_out=$server_out echo_job=$server_job
  for ((round = 0; round < times; ++round)); do
    for name in $(in_turn "$round" evio haproxy); do
      start_tls_proxy "$name" "$echo_port"
      warmup=0.4 tls_proxy_load 'round trips of 64 B' streams --connections 50 --size 64
      tls_proxy_load 'blocks of 64 KiB' streams --connections 8 --size 65536
      tls_proxy_load 'full handshake, echo, close' connects --connections 8 --size 64
      tls_proxy_load 'resumed handshake, echo, close' connects --connections 8 --size 64 --resume
      stop_server
    done
  done
  server_pid=$echo_pid server_port=$echo_port server_out=$echo_out server_job=$echo_job
  stop_server
}
