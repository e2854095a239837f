#!/bin/sh
# doxygen.sh: every member of the public headers is documented, and doxygen understands it. Any warning is a failure.
# Exits with 77, which ctest takes for "skipped", where doxygen is not installed.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
if ! command -v doxygen >/dev/null; then
  echo "skipped: doxygen is not installed"
  exit 77
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# doxygen.sh FOLDER checks the headers in another folder, for a test of this script.
cat >"$out/Doxyfile" <<END
PROJECT_NAME      = evio
INPUT             = "${1:-$source/evio}"
FILE_PATTERNS     = *.hpp
RECURSIVE         = NO
EXCLUDE_SYMBOLS   = evio::internal evio::internal::* std std::*
STRIP_FROM_PATH   = "$source"
STRIP_FROM_INC_PATH = "$source"
JAVADOC_AUTOBRIEF = YES
OUTPUT_DIRECTORY  = "$out"
GENERATE_HTML     = NO
GENERATE_LATEX    = NO
GENERATE_XML      = YES
QUIET             = YES
BUILTIN_STL_SUPPORT = YES
WARN_IF_UNDOCUMENTED = YES
WARN_IF_DOC_ERROR = YES
WARN_LOGFILE      = "$out/warnings"
END
doxygen "$out/Doxyfile" >"$out/said" 2>&1 || { cat "$out/said"; exit 1; }

# A run that read nothing would warn of nothing.
grep -q 'kind="function"><name>serve</name>' "$out/xml/index.xml" || {
  echo "doxygen found no evio::serve in ${1:-$source/evio}"
  exit 1
}
if [ -s "$out/warnings" ]; then
  cat "$out/warnings"
  exit 1
fi
