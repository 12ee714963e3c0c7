// What most tests include, compiled once for each program of tests where meson's -Db_pch=true asks for it. Nothing of
// the library: its names would meet those that a test gives to things of its own.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tests/catch.h"
