# The proxy example beside a copy loop by hand, haproxy and nginx, each with one thread and one processor, before the bare echo
# server. Sourced by bench/run.

nginx_stream=/usr/lib/nginx/modules/ngx_stream_module.so # Debian's libnginx-mod-stream

haproxy_config() { # PORT TO
  cat <<EOF
global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 10s
  timeout client 600s
  timeout server 600s
listen relay
  bind 127.0.0.1:$1
  server echo 127.0.0.1:$2
EOF
}

nginx_stream_config() { # PORT TO
  echo "load_module $nginx_stream;" # which must come first
  nginx_main_config
  cat <<EOF
stream {
  proxy_timeout 600s;
  tcp_nodelay on;
  server {
    listen 127.0.0.1:$1 backlog=4096;
    proxy_pass 127.0.0.1:$2;
  }
}
EOF
}

start_proxy() { # NAME TO
  local port
  port=$(free_port)
  case $1 in
    bare) start_listener "$port" taskset -c "$server_cpus" "$bin/proxy-bare" "$port" "$2" ;;
    evio) start_listener "$port" taskset -c "$server_cpus" "$bin/../examples/proxy" --listen="tcp://127.0.0.1:$port" \
      --to="tcp://127.0.0.1:$2" --loops=1 ;;
    haproxy)
      haproxy_config "$port" "$2" >"$work/haproxy.conf"
      start_listener "$port" taskset -c "$server_cpus" haproxy -db -f "$work/haproxy.conf"
      ;;
    nginx) start_nginx "$port" < <(nginx_stream_config "$port" "$2") ;;
  esac
}

# proxy_load WHAT LOAD...: of the $name that runs, in this $round.
proxy_load() {
  local values
  values=$(echo_load "$client_cpus" "${@:2}") || die "$name failed in proxy"
  record proxy "$1" "$name" "$round" "$values"
}

# proxy_memory NAME...: what an idle pair takes of each. A proxy has two descriptors for it.
proxy_memory() {
  local name values few=100 many=4000 most
  most=$(ulimit -Hn)
  ulimit -Sn "$most"
  if [[ $most != unlimited ]] && ((most < 2 * many + 100)); then many=$(((most - 100) / 2)); fi
  for name in "$@"; do
    start_proxy "$name" "$echo_port"
    values=$(taskset -c "$client_cpus" "$bin/bench-load" idle --port "$server_port" --pid "$server_pid" --base "$few" --connections "$many") ||
      die "$name failed with idle connections"
    stop_server
    record proxy_memory "$few $many" "$name" 0 "$values"
  done
}

# Where there are two processors, the proxy has one, and the clients and the echo server behind it the other.
measure_proxy() {
  local round name echo_pid echo_port echo_out echo_job loops=1 names=(bare evio) times=11
  [[ -x $bin/proxy-bare && -x $bin/../examples/proxy ]] || return 0
  if have haproxy; then
    names+=(haproxy)
    haproxy -v | awk 'NR == 1 { print "haproxy " $3 }' >>"$work/versions"
  fi
  if have "$nginx" && [[ -e $nginx_stream ]]; then
    names+=(nginx)
    nginx_version >>"$work/versions"
  fi
  [[ -z $quick ]] || times=2
  pin 1
  start_server taskset -c "$client_cpus" "$bin/server-bare" --loops=1
  echo_pid=$server_pid echo_port=$server_port echo_out=$server_out echo_job=$server_job
  for ((round = 0; round < times; ++round)); do
    for name in $(in_turn "$round" "${names[@]}"); do
      start_proxy "$name" "$echo_port"
      proxy_load 'round trips of 64 B' streams --connections 50 --size 64
      proxy_load 'blocks of 64 KiB' streams --connections 8 --size 65536
      proxy_load 'connect, echo, close' connects --connections 50 --size 64
      stop_server
    done
  done
  proxy_memory "${names[@]}"
  server_pid=$echo_pid server_port=$echo_port server_out=$echo_out server_job=$echo_job
  stop_server
}
