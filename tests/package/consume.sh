# consume.sh static|shared find_package|subdirectory|plugin|pkg_config: builds a program that uses evio in that way; runs it.
set -eu
kind=$1
way=$2
here=$SOURCE/tests/package/consumer
prefix=$WORK/$kind/moved
out=$WORK/$kind/$way
rm -rf "$out"
mkdir -p "$out"

if [ "$way" = pkg_config ]; then
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name evio.pc)")
  LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
  export PKG_CONFIG_PATH LD_LIBRARY_PATH
  version=$(sed -n 's/^#define EVIO_VERSION_[MP][A-Z]* //p' "$SOURCE/evio/version.hpp" | paste -sd.)
  [ "$(pkg-config --modversion evio)" = "$version" ] || { echo "pkg-config does not know that this is $version"; exit 1; }
  flags=$(pkg-config --cflags --libs evio)
  # shellcheck disable=SC2086 # one word a flag
  "$CXX" -std=c++20 -Wall -Wextra -Werror "$here/main.cpp" $flags -o "$out/consumer"
else
  shared=OFF
  [ "$kind" = static ] || shared=ON
  # What evio is built from is none of its users' business: they need not have it. Nor OpenSSL, which evio::tls alone needs.
  hide=-DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON
  [ "$way" = subdirectory ] || hide="$hide -DCMAKE_DISABLE_FIND_PACKAGE_ConcurrentQueue=ON"
  # shellcheck disable=SC2086 # one word an option
  "$CMAKE" -S "$here" -B "$out" -G Ninja -DCMAKE_CXX_COMPILER="$CXX" -DWAY="$way" -DEVIO_SOURCE="$SOURCE" $hide \
    -DCMAKE_PREFIX_PATH="$prefix" -DBUILD_SHARED_LIBS=$shared
  "$CMAKE" --build "$out"
fi
"$out/consumer"

# A shared evio is one that the program needs at run time; a static one is not.
if ldd "$out/consumer" | grep -q libevio; then linked=shared; else linked=static; fi
[ "$linked" = "$kind" ] || { echo "linked with a $linked evio"; exit 1; }
