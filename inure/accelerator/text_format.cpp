#include "inure/accelerator/text_format.hpp"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include "inure/base/error.hpp"

namespace inure {
namespace {

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text_.empty()) text_ = fmt::format("{}:{}: {}", line + 1, column + 1, message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

void parse_text_format(const std::string& text, const std::string& name, const std::string& what,
                       const std::string& schema, google::protobuf::Message& message) {
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.ParseFromString(text, &message)) return;
  fail("{}:{} ({} is text as in {})", name,
       error.text().empty() ? "1:1: not " + what : error.text(), what, schema);
}

}  // namespace inure
