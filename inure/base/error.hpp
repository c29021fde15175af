#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace inure {

// What a user did or gave that Inure cannot work with. The message is one line: the file, line or
// layer; what is wrong; what would be right. (Errors of the hardware are in inure/errors.)
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A number that is NaN or infinite where training needs one.
class NotFinite : public Error {
 public:
  using Error::Error;
};

// fail("{}: {} is not a number", where, text) throws Error with the formatted line.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace inure
