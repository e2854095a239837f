#!/bin/bash
# bench_run.sh FOLDER OUT: bench/run still works: a few scenarios, as short as they can be, with the programs in FOLDER. Only what it
# writes is looked at, not what it says.
set -euo pipefail
bench=$(cd "$(dirname "$0")/../../bench" && pwd)
"$bench/run" --quick --bin="$1" --out="$2" small connects udp beside >/dev/null

for wanted in '^| messages/s to bare | 50 × 6 B | connect + echo | UDP |$' '^| bare | 1.00 | 1.00 | 1.00 |$' \
  '^| \*\*evio\*\* | \*\*[0-9.]*\*\* | \*\*[0-9.]*\*\* | \*\*[0-9.]*\*\* |$' '^- commit: ' '^### UDP: ' '^| server | request: p50 µs |'; do
  grep -q -- "$wanted" "$2/RESULTS.md" || { cat "$2/RESULTS.md"; echo "there is no line $wanted" >&2; exit 1; }
done
grep -q '</svg>' "$2/results.svg"
for script in run instructions syscalls; do "$bench/$script" --help | grep -q "^bench/$script "; done
