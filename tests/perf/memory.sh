#!/bin/bash
# memory.sh FOLDER: an idle connection costs at most 256 bytes of resident memory (the kernel's aside), with an idle timeout 368, and a
# burst of 1 MiB leaves nothing of it behind. FOLDER has the echo server and the load generator of bench/.
set -euo pipefail
bin=$1
. "$(dirname "$0")/../../bench/lib.sh"

connections=10000 base=1000 bursts=100
most=$(ulimit -Hn)
if [[ $most != unlimited ]] && ((most < connections + 100)); then connections=$((most - 100)) base=$((most / 10)); fi

# demand LIMIT FLAGS...: bytes an idle connection of that server.
demand() {
  start_server "$bin/server-evio" "${@:2}"
  said=$("$bin/bench-load" idle --port "$server_port" --pid "$server_pid" --base "$base" --connections "$connections" \
    --burst-connections "$bursts" --burst 1048576)
  stop_server
  echo "${*:2} $said"
  # What is resident are pages, and the allocator's own come and go by a few; one burst kept by each hundredth connection, or 8
  # bytes more for each, would be more than that.
  awk -v limit="$1" -v bursts="$bursts" -v pages="$((8 * 4096))" -v counted="$((connections - base))" '{
    for (i = 1; i <= NF; ++i) { split($i, pair, "="); value[pair[1]] = pair[2] }
    if (value["idle_bytes"] <= 0 || value["idle_bytes"] > limit + pages / counted) { print "an idle connection costs too much"; exit 1 }
    if (value["burst_bytes"] * bursts > 256 * 1024) { print "bursts leave something behind"; exit 1 }
  }' <<<"$said"
}
demand 256
demand 368 --idle-timeout=3600
