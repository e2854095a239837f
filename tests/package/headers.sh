# headers.sh: what is installed to include/ is evio/**.hpp, no more and no less, and none includes what was not installed. That each can
# be included alone is checked where evio is built: install.sh.
set -eu
include=$WORK/static/moved/include

(cd "$include" && find . -type f | sort) >"$WORK/installed"
(cd "$SOURCE" && find ./evio -name '*.hpp' | sort) >"$WORK/expected"
diff "$WORK/expected" "$WORK/installed"

if grep -rn 'concurrentqueue\|#include ["<]internal/' "$include"; then
  exit 1
fi
