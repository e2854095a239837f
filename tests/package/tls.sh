# tls.sh static|shared: builds a program that uses an installed evio::tls, by CMake and by pkg-config; runs it.
set -eu
kind=$1
here=$SOURCE/tests/package/tls
prefix=$WORK/$kind/moved
out=$WORK/$kind/tls
rm -rf "$out"
mkdir -p "$out"

"$CMAKE" -S "$here" -B "$out" -G Ninja -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_PREFIX_PATH="$prefix"
"$CMAKE" --build "$out"
"$out/consumer"

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name evio-tls.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
flags=$(pkg-config --cflags --libs evio-tls)
# shellcheck disable=SC2086 # one word a flag
"$CXX" -std=c++20 -Wall -Wextra -Werror "$here/main.cpp" $flags -o "$out/by_pkg_config"
"$out/by_pkg_config"

if ldd "$out/consumer" | grep -q libevio_tls; then linked=shared; else linked=static; fi
[ "$linked" = "$kind" ] || { echo "linked with a $linked evio::tls"; exit 1; }

# A user of a shared one links no OpenSSL; and it exports what its header declares, alone.
[ "$kind" = shared ] || exit 0
case $flags in *-lssl*) echo "pkg-config asks for OpenSSL: $flags"; exit 1 ;; esac
exported=$(nm -DC --defined-only "$(find "$prefix" -name libevio_tls.so)" | grep ' T ' | cut -d' ' -f3-)
if echo "$exported" | grep -v '^evio::TlsContext::'; then
  echo "exported, but no part of evio::TlsContext"
  exit 1
fi
