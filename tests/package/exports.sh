# exports.sh: a shared evio carries its version and exports its own names, not those of the queue it is built from.
set -eu
library=$(find "$WORK/shared/moved" -name libevio.so)
exported=$(nm -DC --defined-only "$library" | cut -d' ' -f3-)

if echo "$exported" | grep moodycamel; then
  echo "exported: a program with a moodycamel of its own would share it"
  exit 1
fi
echo "$exported" | grep -q '^evio::serve(' || { echo "evio::serve is not exported"; exit 1; }
readelf -d "$library" | grep 'SONAME.*\[libevio\.so\.[0-9]*\.[0-9]*\]'
