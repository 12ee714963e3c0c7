#!/bin/sh
# Files that are compiled for newer CPUs lend nothing to others: each symbol that they define for the linker carries the
# name of their instruction set. symbols_test.sh libpointwise_ARCH.a...
status=0
for library in "$@"; do
  arch=$(basename "$library" .a)
  arch=${arch#libpointwise_}
  symbols=$(nm --defined-only --extern-only "$library" | awk 'NF == 3 { print $3 }' | grep -v '^DW\.ref\.')
  if [ -z "$symbols" ]; then
    echo "$library defines nothing: is it a thin archive without its objects?"
    status=1
  fi
  length=${#arch}
  leaked=$(echo "$symbols" | grep -v -e "9pointwise$length$arch" -e "xsimd_$arch" | c++filt)
  if [ -n "$leaked" ]; then
    echo "$library lends this to files for other CPUs:"
    echo "$leaked"
    status=1
  fi
done
[ $status = 0 ] && echo "$# parts define nothing without the name of their instruction set"
exit $status
