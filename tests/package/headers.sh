# headers.sh: what is installed to include/ is evio/*.hpp; each can be included alone, and none needs what was not installed.
set -eu
include=$WORK/static/moved/include

(cd "$include" && find . -type f | sort) >"$WORK/installed"
(cd "$SOURCE" && find evio -name '*.hpp' | sed 's|^|./|' | sort) >"$WORK/expected"
diff "$WORK/expected" "$WORK/installed"

for header in $(cd "$include" && find evio -name '*.hpp'); do
  echo "#include <$header>"
  echo "#include <$header>" |
    "$CXX" -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only -I "$include" -x c++ -
done
if grep -n 'concurrentqueue\|#include ["<]internal/' "$include"/evio/*.hpp "$include"/evio/detail/*.hpp; then
  exit 1
fi
