#!/usr/bin/env bash
# Installs a finished build into a temporary folder and builds a program against it through pkg-config alone, with the
# static and with the shared library.   install_test.sh BUILD_DIR COMPILER...
set -euo pipefail
exec </dev/null

build=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

DESTDIR=$place meson install -C "$build" --no-rebuild >"$place/log" 2>&1 || { cat "$place/log" && exit 1; }
pc=$(find "$place" -name tapestry.pc)
[ -n "$pc" ] || { echo "no tapestry.pc was installed" && exit 1; }
prefix=$place$(sed -n 's/^prefix=//p' "$pc")
library=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=${pc%/*}
package() { pkg-config --define-variable=prefix="$prefix" "$@" tapestry; }

read -ra flags <<<"$(package --cflags)"
"$@" -std=c++20 -Wall -Wextra -Werror "${flags[@]}" -c "$here/installed.cc" -o "$place/installed.o"
count=0
for file in "$library"/libtapestry.{a,so}; do
  [ -e "$file" ] || continue
  read -ra flags <<<"$(package --libs "$([ "${file##*.}" = a ] && echo --static || echo --shared)" | sed "s/-ltapestry/-l:${file##*/}/")"
  "$@" "$place/installed.o" -o "$place/installed" "${flags[@]}" -Wl,-rpath,"$library"
  "$place/installed" || { echo "a program linked with ${file##*/} fails" && exit 1; }
  count=$((count + 1))
done
[ $count -gt 0 ] || { echo "no library was installed" && exit 1; }
[ ! -e "$library/libtapestry.a" ] || [ ! -e "$library/libtapestry.so" ] || [ $count -eq 2 ]
echo "$count libraries serve a program outside the tree"
