#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace inure {

// Reads a message of protobuf's text format. name: the file's; what: "an accelerator's
// description"; schema: the file that documents it. Throws Error with name, line, column and what
// is wrong.
void parse_text_format(const std::string& text, const std::string& name, const std::string& what,
                       const std::string& schema, google::protobuf::Message& message);

}  // namespace inure
