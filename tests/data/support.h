// Idx files and gzip streams made by hand.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "tests/support/files.h"

namespace tapestry::test {

// 00 00 type rank sizes..., then `payload` bytes 0, 1, 2, ...
Bytes idx_bytes(std::initializer_list<std::uint32_t> sizes, std::size_t payload, std::uint8_t type = 0x08);
// A gzip member by zlib, with a name in its header when `name` is not empty.
Bytes gzip_bytes(const Bytes& content, const std::string& name = "");

Bytes operator+(Bytes a, const Bytes& b);
Bytes first(const Bytes& bytes, std::size_t count);

// Four files of `train` and `test` images of 28 x 28; labels are i % 10.
void write_mnist(const std::filesystem::path& directory, std::uint32_t train, std::uint32_t test);

}  // namespace tapestry::test
