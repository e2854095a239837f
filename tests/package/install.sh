# install.sh static|shared: builds evio and installs it to $WORK/KIND/prefix, then moves that: an installed tree may be moved.
# As the README says: the library alone, which asks for no package of the tests and examples.
set -eu
kind=$1
shared=OFF
[ "$kind" = static ] || shared=ON

rm -rf "$WORK/$kind/moved"
"$CMAKE" -S "$SOURCE" -B "$WORK/$kind/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$CXX" \
  -DCMAKE_INSTALL_PREFIX="$WORK/$kind/prefix" -DBUILD_SHARED_LIBS=$shared -DEVIO_BUILD_TESTS=OFF -DEVIO_BUILD_EXAMPLES=OFF \
  -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON -DCMAKE_DISABLE_FIND_PACKAGE_cxxopts=ON \
  -DCMAKE_VERIFY_INTERFACE_HEADER_SETS=ON -DEVIO_WERROR=ON
"$CMAKE" --build "$WORK/$kind/build"
"$CMAKE" --build "$WORK/$kind/build" --target all_verify_interface_header_sets
"$CMAKE" --install "$WORK/$kind/build"
mv "$WORK/$kind/prefix" "$WORK/$kind/moved"
