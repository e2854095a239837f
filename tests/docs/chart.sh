#!/bin/sh
# chart.sh BENCH: the chart there is what chart.py draws from RESULTS.md, and all its panels are measured.
set -eu
python3 -B "$1/chart.py" "$1/RESULTS.md" | cmp - "$1/results.svg"
! grep -q 'not measured' "$1/results.svg"
