#include "io/file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/io/refusal.h"

using namespace tapestry;
using namespace tapestry::io;
using namespace tapestry::test;

namespace {

void save(const std::string& path, std::string_view content) {
  OutputFile file(path);
  file.write(std::as_bytes(std::span(content)));
  file.commit();
}

unsigned mode(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
}

}  // namespace

TEST_CASE("file: a new content replaces the old one, with its permissions") {
  const TempDir folder;
  const mode_t before = umask(022);
  save(folder / "a", "one");
  REQUIRE(read_text(folder / "a") == "one");
  REQUIRE(mode(folder / "a") == 0644);
  chmod((folder / "a").c_str(), 0600);
  save(folder / "a", "two");
  REQUIRE(read_text(folder / "a") == "two");
  REQUIRE(mode(folder / "a") == 0600);
  umask(077);
  save(folder / "b", "");
  REQUIRE(mode(folder / "b") == 0600);
  umask(before);
  REQUIRE(entries(folder) == 2);
}

TEST_CASE("file: without commit the old file stays and nothing is left over") {
  const TempDir folder;
  save(folder / "a", "one");
  {
    OutputFile file(folder / "a");
    file.write(std::as_bytes(std::span(std::string_view("two"))));
    REQUIRE(entries(folder) == 2);
  }
  REQUIRE(read_text(folder / "a") == "one");
  REQUIRE(entries(folder) == 1);
}

TEST_CASE("file: two writers at once do not mix") {
  const TempDir folder;
  OutputFile first(folder / "a"), second(folder / "a");
  first.write(std::as_bytes(std::span(std::string_view("first"))));
  second.write(std::as_bytes(std::span(std::string_view("second"))));
  second.commit();
  REQUIRE(read_text(folder / "a") == "second");
  first.commit();
  REQUIRE(read_text(folder / "a") == "first");
  REQUIRE(entries(folder) == 1);
}

TEST_CASE("file: names of 255 bytes, paths without a folder and links work") {
  const TempDir folder;
  const std::string longest = folder / std::string(255, 'x');
  save(longest, "long");
  REQUIRE(read_text(longest) == "long");
  std::filesystem::create_symlink(longest, folder / "link");
  save(folder / "link", "through");
  REQUIRE(std::filesystem::is_symlink(folder / "link"));
  REQUIRE(read_text(longest) == "through");
  const std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(folder.path().string());
  save("plain", "here");
  std::filesystem::current_path(here);
  REQUIRE(read_text(folder / "plain") == "here");
}

TEST_CASE("file: targets that cannot be written are refused by name") {
  const TempDir folder;
  std::filesystem::create_directory(folder / "d");
  std::filesystem::create_symlink("/nowhere/at/all", folder / "dangling");
  REQUIRE_THROWS_AS(OutputFile(folder / "d"), FileError);
  REQUIRE_THROWS_WITH(OutputFile(folder / "d"), contains(folder / "d: is a directory"));
  REQUIRE_THROWS_WITH(OutputFile(folder / "none/a"), contains("there is no directory"));
  REQUIRE_THROWS_WITH(OutputFile(folder / "dangling"), contains("is a symbolic link that leads nowhere"));
  REQUIRE_THROWS_WITH(OutputFile("/dev/null"), contains("/dev/null: is not a regular file"));
  REQUIRE_THROWS_WITH(OutputFile(""), contains("the path of a file is empty"));
  REQUIRE_THROWS_WITH(OutputFile(std::string("a\0b", 3)), contains("a\\x00b: a path must not hold a NUL byte"));
  REQUIRE_THROWS_AS(OutputFile(folder / std::string(256, 'x')), EnvironmentError);
  REQUIRE_THROWS_AS(OutputFile("/proc/tapestry"), Error);
  REQUIRE(entries(folder) == 2);
}

TEST_CASE("file: when the system takes no more bytes, the old file stays") {
  const TempDir folder;
  save(folder / "a", "one");
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const std::string message = error_of<EnvironmentError>([&] { save(folder / "a", std::string(5000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  REQUIRE_THAT(message, contains(folder / "a: cannot write: File too large"));
  REQUIRE(read_text(folder / "a") == "one");
  REQUIRE(entries(folder) == 1);
}

TEST_CASE("file: what cannot be read is refused by name, at once") {
  const TempDir folder;
  mkfifo((folder / "fifo").c_str(), 0600);
  REQUIRE_THROWS_AS(InputFile(folder / "none"), FileError);
  REQUIRE_THROWS_WITH(InputFile(folder / "none\n"), contains("/none\\x0a: No such file or directory"));
  REQUIRE_THROWS_WITH(InputFile(folder.path().string()), contains(": is a directory"));
  REQUIRE_THROWS_WITH(InputFile(folder / "fifo"), contains(": is not a regular file"));
  REQUIRE_THROWS_WITH(InputFile("/dev/zero"), contains("/dev/zero: is not a regular file"));
  REQUIRE_THROWS_WITH(InputFile(""), contains("the path of a file is empty"));
  REQUIRE_THROWS_AS(InputFile(folder / std::string(5000, 'x')), FileError);
}

TEST_CASE("file: reads never go past the end, even when the file shrinks") {
  const TempDir folder;
  write_file(folder / "a", "0123456789");
  const InputFile file(folder / "a");
  std::string out(4, ' ');
  file.read(6, std::as_writable_bytes(std::span(out)));
  REQUIRE(out == "6789");
  REQUIRE_THROWS_WITH(file.read(7, std::as_writable_bytes(std::span(out))), contains("byte 10: 1 bytes are missing"));
  REQUIRE_THROWS_AS(file.read(11, std::as_writable_bytes(std::span(out))), FileError);
  REQUIRE_THROWS_AS(file.read(std::numeric_limits<std::uint64_t>::max(), std::as_writable_bytes(std::span(out))),
                    FileError);
  std::filesystem::resize_file(folder / "a", 7);
  REQUIRE_THROWS_WITH(file.read(6, std::as_writable_bytes(std::span(out))),
                      contains("byte 7: the file was truncated while it was read"));
}
