// Catch2 2 and 3 behind one face.
#pragma once

#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
namespace tapestry::test {
using CatchListener = Catch::EventListenerBase;
}
inline auto contains(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
#else
#include <catch2/catch.hpp>
#ifdef CATCH_CONFIG_RUNNER
namespace tapestry::test {
using CatchListener = Catch::TestEventListenerBase;
}
#endif
inline auto contains(const std::string& text) { return Catch::Matchers::Contains(text); }
#endif
