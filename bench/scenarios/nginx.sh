# nginx as a peer: one process in the foreground, on the server's processor. Sourced by bench/run.

nginx=$(command -v nginx || echo /usr/sbin/nginx)

nginx_version() { "$nginx" -v 2>&1 | sed 's/^nginx version: //'; }

# What each configuration begins with.
nginx_main_config() {
  cat <<EOF
daemon off;
master_process off;
worker_processes 1;
pid $work/nginx/pid;
error_log stderr crit;
events { worker_connections 16384; }
EOF
}

# start_nginx PORT: with the configuration on its standard input.
start_nginx() {
  mkdir -p "$work/nginx"
  cat >"$work/nginx.conf"
  start_listener "$1" taskset -c "$server_cpus" "$nginx" -e stderr -p "$work/nginx" -c "$work/nginx.conf"
}
