# no_rtti.sh static|shared: builds a program without RTTI and exceptions that uses an installed evio, which has both; runs it.
# What it checks is how a connection's context is found: in one program, and across a shared library of the user's.
set -eu
kind=$1
here=$SOURCE/tests/package/no_rtti
prefix=$WORK/$kind/moved
out=$WORK/$kind/no_rtti
library=$(dirname "$(find "$prefix" -name 'libevio.*' | head -n 1)")
flags="-std=c++20 -Wall -Wextra -Werror -pthread -I$prefix/include"
none='-fno-rtti -fno-exceptions'
rm -rf "$out"
mkdir -p "$out"

# try NAME program|library FLAGS_OF_MAIN FLAGS_OF_OTHER: other.cpp is part of the program, or a shared library.
# shellcheck disable=SC2086 # one word a flag
try() {
  echo "$1"
  part=$out/$1.o
  if [ "$2" = program ]; then
    "$CXX" $flags $4 -c "$here/other.cpp" -o "$part"
  else
    part=$out/lib$1.so
    "$CXX" $flags $4 -fPIC -shared "$here/other.cpp" -o "$part"
  fi
  "$CXX" $flags $3 "$here/main.cpp" "$part" "-L$library" -levio "-Wl,-rpath,$library,-rpath,$out" -o "$out/$1"
  "$out/$1"
}

try in_one_program program "$none" "$none"
try with_a_library library "$none" "$none"
try with_a_library_with_rtti library "$none" ''
try partly_with_rtti program '' "$none"
try with_rtti_and_hidden library -fvisibility=hidden -fvisibility=hidden
